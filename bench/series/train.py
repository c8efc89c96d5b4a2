#!/usr/bin/python3
"""Trains a small transformer on synthetic text and saves it as training loops do.

    train.py whole|tune FOLDER [--quick]

whole: from scratch, Adam; model and optimizer are saved. tune: the embedding and all blocks but the last are
frozen, the last one learns other text; the whole model is saved with the optimizer of what learns.
FOLDER/step-NN/checkpoint.pt. Run by makers.py with the Python that has Debian's python3-torch.
"""

import os
import sys

import torch
from torch import nn

STEPS = 10  # checkpoints
VOCABULARY = 512
CONTEXT = 64


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x, mask):
        y = self.norms[0](x)
        x = x + self.attention(y, y, y, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.norms[1](x))


class Transformer(nn.Module):
    def __init__(self, width, blocks):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.place = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, tokens):
        mask = torch.triu(torch.full((CONTEXT, CONTEXT), float("-inf")), 1)
        x = self.embedding(tokens) + self.place
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x)


class Text:
    """Each token has four that may follow it, the first most often."""

    def __init__(self, seed):
        self.random = torch.Generator().manual_seed(seed)
        self.follow = torch.randint(VOCABULARY, (VOCABULARY, 4), generator=self.random)
        self.chance = torch.tensor([0.6, 0.2, 0.15, 0.05])

    def batch(self, size):
        tokens = [torch.randint(VOCABULARY, (size,), generator=self.random)]
        for _ in range(CONTEXT):
            which = torch.multinomial(self.chance, size, replacement=True, generator=self.random)
            tokens.append(self.follow[tokens[-1], which])
        tokens = torch.stack(tokens, 1)
        return tokens[:, :-1], tokens[:, 1:]


def learn(model, optimizer, text, steps):
    for _ in range(steps):
        tokens, wanted = text.batch(4)
        loss = nn.functional.cross_entropy(model(tokens).flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def main():
    kind, folder = sys.argv[1:3]
    quick = "--quick" in sys.argv[3:]
    torch.manual_seed(1)
    torch.set_num_threads(2)
    width, blocks = (64, 3) if quick else (256, 5) if kind == "whole" else (320, 8)
    every = 2 if quick else 10 if kind == "whole" else 5
    model = Transformer(width, blocks)
    text = Text(1)
    if kind == "tune":
        learn(model, torch.optim.Adam(model.parameters(), lr=3e-4), text, 2 * every)
        model.requires_grad_(False)
        for part in (model.blocks[-1], model.head):
            part.requires_grad_(True)
        text = Text(2)
    learns = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(learns, lr=3e-4)
    for step in range(1, STEPS + 1):
        loss = learn(model, optimizer, text, every)
        print(f"step {step * every}: loss {loss:.3f}", flush=True)
        place = os.path.join(folder, f"step-{step:02}")
        os.makedirs(place)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step * every}
        torch.save(state, os.path.join(place, "checkpoint.pt"))


if __name__ == "__main__":
    main()
