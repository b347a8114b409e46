"""Loads a trained model into PyTorch, strictly, and scores with it.

    ncf-pipe run pipelines/quickstart.yaml
    python examples/load_in_torch.py outputs/quickstart/train      # needs torch, safetensors

The modules are those of the reference implementations, with their names of tensors. Widths are read off the tensors,
so that a module fits whatever `config.json` asked for. CDAE scores from the items that a user has: name them after the
folder.
"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn


def embedding(tensors, name):
    return nn.Embedding(*tensors[f"{name}.weight"].shape)


def linear(tensors, name):
    n_out, n_in = tensors[f"{name}.weight"].shape
    return nn.Linear(n_in, n_out, bias=f"{name}.bias" in tensors)


def tower(tensors, name, dropout=None):
    """Linear layers with ReLU, each behind a dropout if there is one: it moves the numbers in the names."""
    numbers = sorted(int(key.split(".")[1]) for key in tensors if key.startswith(f"{name}.") and key.endswith("weight"))
    layers = []
    for number in numbers:
        layers += [] if dropout is None else [nn.Dropout(dropout)]
        layers += [linear(tensors, f"{name}.{number}"), nn.ReLU()]
    return nn.Sequential(*layers)


class GMF(nn.Module):
    """Generalised matrix factorisation (He et al. 2017): a weighted product of two embeddings."""

    def __init__(self, tensors, spec):
        super().__init__()
        self.embed_user_GMF = embedding(tensors, "embed_user_GMF")
        self.embed_item_GMF = embedding(tensors, "embed_item_GMF")
        self.predict_layer = linear(tensors, "predict_layer")

    def forward(self, user, item):
        return self.predict_layer(self.embed_user_GMF(user) * self.embed_item_GMF(item)).view(-1)


class MLP(nn.Module):
    """A tower over two embeddings (He et al. 2017)."""

    def __init__(self, tensors, spec):
        super().__init__()
        self.embed_user_MLP = embedding(tensors, "embed_user_MLP")
        self.embed_item_MLP = embedding(tensors, "embed_item_MLP")
        self.MLP_layers = tower(tensors, "MLP_layers", spec.get("dropout", 0.0))
        self.predict_layer = linear(tensors, "predict_layer")

    def hidden(self, user, item):
        return self.MLP_layers(torch.cat((self.embed_user_MLP(user), self.embed_item_MLP(item)), -1))

    def forward(self, user, item):
        return self.predict_layer(self.hidden(user, item)).view(-1)


class NeuMF(MLP):
    """GMF and MLP side by side, under one linear layer (He et al. 2017)."""

    def __init__(self, tensors, spec):
        super().__init__(tensors, spec)
        self.embed_user_GMF = embedding(tensors, "embed_user_GMF")
        self.embed_item_GMF = embedding(tensors, "embed_item_GMF")

    def forward(self, user, item):
        product = self.embed_user_GMF(user) * self.embed_item_GMF(item)
        return self.predict_layer(torch.cat((product, self.hidden(user, item)), -1)).view(-1)


class NeuMFD2L(nn.Module):
    """NeuMF of Dive into Deep Learning: widths of its own, and no bias of the output."""

    def __init__(self, tensors, spec):
        super().__init__()
        self.P, self.Q = embedding(tensors, "P"), embedding(tensors, "Q")
        self.U, self.V = embedding(tensors, "U"), embedding(tensors, "V")
        self.mlp = tower(tensors, "mlp")
        self.prediction_layer = linear(tensors, "prediction_layer")

    def forward(self, user, item):
        hidden = self.mlp(torch.cat((self.U(user), self.V(item)), -1))
        return self.prediction_layer(torch.cat((self.P(user) * self.Q(item), hidden), -1)).view(-1)


class MF(nn.Module):
    """Matrix factorisation: an inner product, and the bias of the item if the model has one."""

    def __init__(self, tensors, spec):
        super().__init__()
        self.user_factors, self.item_factors = embedding(tensors, "user_factors"), embedding(tensors, "item_factors")
        self.item_bias = embedding(tensors, "item_bias") if "item_bias.weight" in tensors else None

    def forward(self, user, item):
        logits = (self.user_factors(user) * self.item_factors(item)).sum(-1)
        return logits if self.item_bias is None else logits + self.item_bias(item).squeeze(-1)


class CDAE(nn.Module):
    """Collaborative denoising auto-encoder (Wu et al. 2016)."""

    def __init__(self, tensors, spec):
        super().__init__()
        self.item_in, self.item_out = embedding(tensors, "item_in"), embedding(tensors, "item_out")
        self.user_embedding = embedding(tensors, "user_embedding")
        self.hidden_bias = nn.Parameter(torch.empty_like(tensors["hidden_bias"]))
        self.item_out_bias = nn.Parameter(torch.empty_like(tensors["item_out_bias"]))

    def forward(self, user, item, rows):
        """`rows`, [batch, n_items], has 1 at the items that each pair's user has, else 0."""
        z = torch.sigmoid(rows @ self.item_in.weight + self.user_embedding(user) + self.hidden_bias)
        return (self.item_out(item) * z).sum(-1) + self.item_out_bias[item]


KINDS = {"gmf": GMF, "mlp": MLP, "neumf": NeuMF, "neumf_d2l": NeuMFD2L, "mf": MF, "cdae": CDAE}


def load(folder):
    """The module and the configuration of a trained model. Every tensor of the file must find its place."""
    config = json.loads((Path(folder) / "config.json").read_text())
    tensors = load_file(Path(folder) / "model.safetensors")
    kind = config["model"]["kind"]
    if kind not in KINDS:
        raise SystemExit(f"a model of kind `{kind}` is not one of {', '.join(KINDS)}")
    module = KINDS[kind](tensors, config["model"])
    module.load_state_dict(tensors, strict=True)
    return module.eval(), config


if __name__ == "__main__":
    net, config = load(sys.argv[1] if len(sys.argv) > 1 else "outputs/quickstart/train")
    items = torch.arange(config["n_items"])
    batch = [torch.zeros_like(items), items]
    if isinstance(net, CDAE):
        row = torch.zeros(config["n_items"])
        row[[int(item) for item in sys.argv[2:]]] = 1.0
        batch.append(row.expand(config["n_items"], -1))
    with torch.no_grad():
        scores = net(*batch)
    print("user 0, best items:", scores.topk(min(5, len(scores))).indices.tolist())
