"""Loads a trained GMF into PyTorch and scores with it.

    ncf-pipe run pipelines/quickstart.yaml
    python examples/load_in_torch.py outputs/quickstart/train      # needs torch, safetensors
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

model = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart/train")
config = json.loads((model / "config.json").read_text())


class GMF(torch.nn.Module):
    """Generalised matrix factorisation (He et al. 2017): a weighted product of two embeddings."""

    def __init__(self, n_users, n_items, factors):
        super().__init__()
        self.embed_user_GMF = torch.nn.Embedding(n_users, factors)
        self.embed_item_GMF = torch.nn.Embedding(n_items, factors)
        self.predict_layer = torch.nn.Linear(factors, 1)

    def forward(self, user, item):
        return self.predict_layer(self.embed_user_GMF(user) * self.embed_item_GMF(item)).view(-1)


net = GMF(config["n_users"], config["n_items"], config["model"]["factors"])
net.load_state_dict(load_file(model / "model.safetensors"))
with torch.no_grad():
    scores = net(torch.zeros(config["n_items"], dtype=torch.long), torch.arange(config["n_items"]))
print("user 0, best items:", scores.topk(5).indices.tolist())
