"""Notebook 04's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from answers import *  # noqa: F403

from mnist_helpers.exercises import gpu_training, gpu_training_state

COS = math.cos


def cycle(rise, fall, warmup=lambda steps: steps / 4):
    """Build a schedule from its two parts, each a function of the share of it that is done."""

    def rate(step, steps, peak):
        warm = warmup(steps)
        done, fallen = step / warm, (step - warm) / (steps - warm)
        return peak * (rise(done) if step <= warm else fall(fallen))

    return rate


def straight(done):
    return done


def wave(fallen):
    return (1 + COS(math.pi * fallen)) / 2


def one_cycle_of_tensors(step, steps, peak):
    rates = torch.cat(
        [
            torch.linspace(0, peak, 1001, dtype=torch.float64)[:-1],
            peak * (1 + torch.linspace(0, math.pi, 3001, dtype=torch.float64).cos()) / 2,
        ]
    )
    return rates[round(4000 * step / steps)]


class Rule:
    """Gradient descent with weight decay, in pieces that the wrong ones replace."""

    def __init__(self, parameters, lr, weight_decay):
        self.parameters = list(parameters)
        self.lr, self.weight_decay = lr, weight_decay

    def zero_grad(self):
        for weight in self.parameters:
            if weight.grad is not None:
                weight.grad.zero_()

    def step(self):
        with torch.no_grad():
            for weight in self.parameters:
                self.move(weight)

    def move(self, weight):
        weight.mul_(1 - self.lr * self.weight_decay)
        weight.sub_(self.lr * weight.grad)


class ThroughGradient(Rule):
    def step(self):
        for weight in self.parameters:
            weight.grad.add_(weight.detach(), alpha=self.weight_decay)
            weight.data -= self.lr * weight.grad


class WithoutDecay(Rule):
    def move(self, weight):
        weight -= self.lr * weight.grad


class Growing(Rule):
    def move(self, weight):
        weight -= self.lr * (weight.grad - self.weight_decay * weight)


class DecayWithoutRate(Rule):
    def move(self, weight):
        weight -= self.lr * weight.grad + self.weight_decay * weight


class Uphill(Rule):
    def move(self, weight):
        weight += self.lr * (weight.grad + self.weight_decay * weight)


class Rebinding(Rule):
    def move(self, weight):
        weight = weight - self.lr * weight.grad


class WithGradients(Rule):
    def step(self):
        for weight in self.parameters:
            weight -= self.lr * weight.grad


class Generator(Rule):
    def __init__(self, parameters, lr, weight_decay):
        super().__init__((), lr, weight_decay)
        self.parameters = parameters

    def zero_grad(self):
        pass


class NeverZero(Rule):
    def zero_grad(self):
        pass


class GeneratorUsedByZero(Generator):
    zero_grad = Rule.zero_grad


class NotWritten:
    def __init__(self, parameters, lr, weight_decay):
        raise NotImplementedError


class ZeroInPlace(Rule):
    def zero_grad(self):
        for weight in self.parameters:
            weight.grad.zero_()


class Typo(Rule):
    def step(self):
        self.parametres  # noqa: B018 - raises


def stop_early(
    model, one_epoch, val_loss, epochs, patience, keep=copy.deepcopy, load=True, better=None
):
    better = better or (lambda loss, losses: not losses or loss < min(losses))
    losses, waited, best = [], 0, None
    while len(losses) < epochs and waited < patience:
        one_epoch(model)
        loss = val_loss(model)
        if better(loss, losses):
            best, waited = keep(model.state_dict()), 0
        else:
            waited += 1
        losses.append(loss)
    if load:
        model.load_state_dict(best)
    return losses


def stop_early_with_clones(*arguments):
    return stop_early(*arguments, keep=lambda state: {k: v.clone() for k, v in state.items()})


def stop_early_with_references(*arguments):
    return stop_early(*arguments, keep=dict)


def stop_early_with_last_weights(*arguments):
    return stop_early(*arguments, load=False)


def stop_early_by_previous(*arguments):
    return stop_early(*arguments, better=lambda loss, losses: not losses or loss < losses[-1])


def stop_early_at_equal(*arguments):
    return stop_early(*arguments, better=lambda loss, losses: not losses or loss <= min(losses))


def stop_early_too_late(model, one_epoch, val_loss, epochs, patience):
    return stop_early(model, one_epoch, val_loss, epochs, patience + 1)


def stop_early_too_early(model, one_epoch, val_loss, epochs, patience):
    return stop_early(model, one_epoch, val_loss, epochs, patience - 1)


def stop_at_once(model, one_epoch, val_loss, epochs, patience):
    return stop_early(model, one_epoch, val_loss, epochs, 1)


def never_stop(model, one_epoch, val_loss, epochs, patience):
    return stop_early(model, one_epoch, val_loss, epochs, epochs)


def stop_by_total(model, one_epoch, val_loss, epochs, patience):
    losses, bad, best = [], 0, None
    while len(losses) < epochs and bad < patience:
        one_epoch(model)
        losses.append(val_loss(model))
        if losses[-1] == min(losses):
            best = copy.deepcopy(model.state_dict())
        else:
            bad += 1
    model.load_state_dict(best)
    return losses


def validate_twice(model, one_epoch, val_loss, epochs, patience):
    def twice(model):
        val_loss(model)
        return val_loss(model)

    return stop_early(model, one_epoch, twice, epochs, patience)


def best_loss_only(*arguments):
    return min(stop_early(*arguments))


def loop(model, train, val, optimizer, epochs, zero=True, logits=True, train_mode=True, share=True):
    accuracies = []
    model.train()
    for _ in range(epochs):
        if train_mode:
            model.train()
        for images, labels in train:
            if zero:
                optimizer.zero_grad()
            output = model(images) if logits else model(images).softmax(1)
            F.cross_entropy(output, labels).backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            right = sum((model(x).argmax(1) == y).sum().item() for x, y in val)
        accuracies.append(right / len(val.dataset) if share else right)
    return accuracies


def train_or_resume(
    path, model, optimizer, one_epoch, epochs, weights=True, rule=True, shift=1, at_end=False
):
    done = 0
    if path.is_file():
        saved = torch.load(path, weights_only=True)
        if weights:
            model.load_state_dict(saved["model"])
        if rule:
            optimizer.load_state_dict(saved["optimizer"])
        done = saved["done"]
    count = 0
    for epoch in range(done, epochs):
        one_epoch(model, optimizer, epoch)
        count += 1
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        if not at_end or epoch == epochs - 1:
            torch.save(state | {"done": epoch + shift}, path)
    return count


def resume_whole_objects(path, model, optimizer, one_epoch, epochs):
    if path.is_file():
        torch.load(path)
    for epoch in range(epochs):
        one_epoch(model, optimizer, epoch)
        torch.save(model, path)
    return epochs


def never_resume(path, model, optimizer, one_epoch, epochs):
    for epoch in range(epochs):
        one_epoch(model, optimizer, epoch)
        torch.save(model.state_dict(), path)
    return epochs


def save_before(path, model, optimizer, one_epoch, epochs):
    done = 0
    if path.is_file():
        saved = torch.load(path)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["done"]
    for epoch in range(done, epochs):
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state | {"done": epoch}, path)
        one_epoch(model, optimizer, epoch)
    return epochs - done


def gap(*arguments):
    raise NotImplementedError


def changed(function, **options):
    """Return the function with other options, called by position as checks do."""
    return lambda *arguments: function(*arguments, **options)


CORRECT = {
    "04-1": (gpu_training.one_cycle, cycle(straight, wave), one_cycle_of_tensors),
    "04-2": (gpu_training.SGD, Rule, ThroughGradient),
    "04-3": (gpu_training_state.stop_early, stop_early, stop_early_with_clones),
    "04-4": (gpu_training.train_and_validate, loop),
    "04-5": (gpu_training_state.train_or_resume, train_or_resume),
    "04-6": ("bcabc", ["B", "C", "A", "B", "C"]),
}
WRONG = [
    ("04-1", 0.01, "function"),
    ("04-1", gap, "not written"),
    ("04-1", lambda *_: 1 / 0, "raised ZeroDivisionError"),
    ("04-1", lambda *_: "0.1", "One number"),
    ("04-1", lambda *_: None, "`return`"),
    ("04-1", cycle(straight, lambda t: COS(math.pi * t)), "negative"),
    ("04-1", cycle(lambda t: 2 * t, lambda t: 1 + COS(math.pi * t)), "twice"),
    ("04-1", cycle(straight, lambda t: 1 - t), "half a cosine"),
    ("04-1", cycle(straight, lambda t: (1 + COS(t)) / 2), "math.pi"),
    ("04-1", cycle(straight, wave, lambda steps: steps / 10), "quarter"),
    ("04-1", cycle(straight, wave, lambda steps: steps // 4), "don't round"),
    ("04-1", cycle(lambda t: (1 - COS(math.pi * t)) / 2, wave), "straight"),
    ("04-1", cycle(straight, lambda t: wave(t) ** 2), "Halfway"),
    ("04-1", lambda step, steps, peak: 2 * peak / 3, "highest"),
    ("04-1", cycle(lambda t: t / 4, wave), "not by `steps`"),
    ("04-2", gpu_training.SGD([torch.zeros(1)], 0.1, 0.1), "pass SGD"),
    ("04-2", NotWritten, "not written"),
    ("04-2", WithoutDecay, "decay is missing"),
    ("04-2", Growing, "shrink"),
    ("04-2", DecayWithoutRate, "learning rate"),
    ("04-2", Uphill, "first weight"),
    ("04-2", Rebinding, "in place"),
    ("04-2", WithGradients, "no_grad"),
    ("04-2", Generator, "generator"),
    ("04-2", GeneratorUsedByZero, "generator"),
    ("04-2", NeverZero, "zero_grad"),
    ("04-2", Typo, "AttributeError"),
    ("04-2", ZeroInPlace, r"\.grad is None"),
    ("04-3", stop_early_with_references, "deepcopy"),
    ("04-3", stop_early_with_last_weights, "load the best"),
    ("04-3", stop_early_by_previous, "best loss so far"),
    ("04-3", stop_early_at_equal, "equals"),
    ("04-3", stop_early_too_late, "too late"),
    ("04-3", stop_early_too_early, "too early"),
    ("04-3", stop_at_once, "first epoch without"),
    ("04-3", never_stop, "best loss so far"),
    ("04-3", stop_by_total, "back to 0"),
    ("04-3", validate_twice, "once for each epoch"),
    ("04-3", best_loss_only, "list"),
    ("04-3", lambda *a: stop_early(*a[:3], 99, a[4]), "at most `epochs`"),
    ("04-3", gap, "not written"),
    ("04-4", gap, "not written"),
    ("04-4", changed(loop, zero=False, logits=False, train_mode=False), r"train\(\)"),
    ("04-4", changed(loop, train_mode=False), r"train\(\)"),
    ("04-4", changed(loop, zero=False), "add up"),
    ("04-4", changed(loop, logits=False), "own softmax"),
    ("04-4", changed(loop, zero=False, logits=False), "Two bugs"),
    ("04-4", changed(loop, share=False), "accuracies are not"),
    ("04-4", lambda m, t, v, o, e: loop(m, t, v, o, 2 * e), "nothing besides"),
    ("04-5", gap, "not written"),
    ("04-5", never_resume, "epoch 0 again"),
    ("04-5", resume_whole_objects, "state_dict"),
    ("04-5", changed(train_or_resume, at_end=True), "after each epoch"),
    ("04-5", changed(train_or_resume, shift=0), r"epoch \+ 1"),
    ("04-5", changed(train_or_resume, rule=False), "Adam"),
    ("04-5", changed(train_or_resume, weights=False, rule=False), "weights aren't restored"),
    ("04-5", changed(train_or_resume, weights=False), "same weights"),
    ("04-5", save_before, "last epoch is not in the file"),
    ("04-5", lambda *a: train_or_resume(*a) and a[-1], "how many epochs this call"),
    ("04-5", lambda *a: train_or_resume(*a[:-1], 4), "epochs 0 to 4"),
    ("04-6", "bcab", "5 letters"),
    ("04-6", "bbabc", "confident"),
]
