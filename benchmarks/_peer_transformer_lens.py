"""TransformerLens on MiniLM: the outputs of the six blocks by run_with_cache, all kept in memory."""

from __future__ import annotations

import logging
import warnings
from importlib.metadata import version

from _peer_batches import buffers, forward_of, keep, model_of, parts_of
from transformers import BertForMaskedLM


def start(settings: dict) -> dict:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    from transformer_lens.model_bridge import TransformerBridge

    model, parts = model_of(settings), parts_of(settings)
    masked = BertForMaskedLM.from_pretrained(settings["folder"]).eval()
    bridge = TransformerBridge.boot_transformers(settings["folder"], hf_model=masked, device="cpu")
    names = [f"blocks.{block}.hook_out" for block in range(6)]
    room = buffers(parts, len(names), model.config.hidden_size)

    def capture(part: int) -> None:
        done = 0
        for batch in parts[part]:
            given = {"attention_mask": batch["attention_mask"], "names_filter": names}
            _, cache = bridge.run_with_cache(batch["input_ids"], **given)
            done = keep(room[part], done, batch, [cache[name] for name in names])

    return {"version": lambda: version("transformer-lens"), "forward": forward_of(model, parts), "capture": capture}
