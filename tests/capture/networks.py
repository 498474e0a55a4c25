"""Small networks and passages for the tests of capture."""

import torch
from torch import nn

from blockspin.capture.base import Network
from blockspin.capture.encoders import ArrayEncoder, TextEncoder
from blockspin.sources.base import Record, Sample, draw_records

WORDS = sorted(set("light water earth king house day night people son land hand word heart way city man".split()))  # noqa: SIM905


def passages(count: int, seed: int = 0) -> list[str]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(2, 14, (count,), generator=generator).tolist()
    return [" ".join(WORDS[i] for i in torch.randint(len(WORDS), (n,), generator=generator).tolist()) for n in lengths]


class Letters:
    """A word-level tokenizer with the interface of the transformers library: start and end tokens, padding."""

    pad_token, eos_token = "[pad]", "[end]"

    @staticmethod
    def _row(text: str, longest: int) -> list[int]:
        return [1, *[3 + WORDS.index(word) for word in text.split()][: longest - 2], 2]

    def __call__(self, texts, *, truncation=False, max_length=10_000, padding=False, return_tensors=None, **kwargs):
        one = isinstance(texts, str)
        rows = [self._row(text, max_length) for text in ([texts] if one else texts)]
        if one:
            return {"input_ids": rows[0]}
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        special = torch.tensor([[1 if i in (0, 1, 2) else 0 for i in row] for row in ids.tolist()])
        return {"input_ids": ids, "attention_mask": (ids != 0).long(), "special_tokens_mask": special}


def transformer(kind: str) -> nn.Module:
    import transformers

    size = {"vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    configs = {
        "bert": lambda: transformers.BertModel(transformers.BertConfig(**size, intermediate_size=32)),
        "llama": lambda: transformers.LlamaModel(
            transformers.LlamaConfig(**size, intermediate_size=32, pad_token_id=0, num_key_value_heads=2)
        ),
        "gpt2": lambda: transformers.GPT2Model(
            transformers.GPT2Config(vocab_size=32, n_embd=16, n_layer=3, n_head=2, n_positions=64)
        ),
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return configs[kind]().eval()


def reader(kind: str) -> Network:
    return Network(transformer(kind), TextEncoder(Letters(), 32))


def perceptron() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3)).eval()


def plain(module: nn.Module) -> Network:
    return Network(module, ArrayEncoder("array"))


def sample_of(contents: list) -> Sample:
    class Given:
        def records(self):
            return (Record(content, f"record {i}") for i, content in enumerate(contents))

    return draw_records(Given(), len(contents))  # type: ignore[arg-type]
