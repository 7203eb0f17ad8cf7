"""Notebook 06's checks: correct answers in several styles pass, the usual wrong ones do not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from answers import *  # noqa: F403

from mnist_helpers.exercises import misclassification_analysis as worked


def by_loop(labels, predictions):
    matrix = torch.zeros(10, 10, dtype=torch.long)
    for label, predicted in zip(labels, predictions, strict=True):
        matrix[label, predicted] += 1
    return matrix


def by_scikit_learn(labels, predictions):
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, predictions, labels=range(10))


def by_accumulation(labels, predictions):
    ones = torch.ones(len(labels))
    return torch.zeros(10, 10).index_put_((labels, predictions), ones, accumulate=True)


def by_one_hot(labels, predictions):
    return F.one_hot(labels, 10).T @ F.one_hot(predictions, 10)


def by_plain_indexing(labels, predictions):
    matrix = torch.zeros(10, 10)
    matrix[labels, predictions] += 1
    return matrix


def without_minlength(labels, predictions):
    return torch.bincount(10 * labels + predictions).reshape(10, 10)


def errors_only(labels, predictions):
    wrong = labels != predictions
    return worked.confusion_matrix(labels[wrong], predictions[wrong])


def in_bins(confidence, correct, low=-0.0, weigh="share", signed=False, middle=False, last=True):
    """Return a calibration error with one detail of it as asked for."""
    total, edges, kept, gaps = 0.0, torch.arange(11) / 10, 0, []
    for number in range(10):
        inside = (confidence >= edges[number]) & (confidence < edges[number + 1])
        if number == 9 and last:
            inside = confidence >= edges[9]
        if not inside.any():
            continue
        mean = edges[number] + 0.05 if middle else confidence[inside].mean()
        gap = mean - correct[inside].float().mean()
        gap = gap if signed else gap.abs()
        gaps.append(gap)
        kept += inside.sum()
        total += gap * inside.sum()
    if weigh == "mean":
        return sum(gaps) / len(gaps)
    if weigh == "sum":
        return sum(gaps)
    if weigh == "count":
        return total
    return abs(total) / (kept if weigh == "kept" else len(confidence))


def with_empty_bins(confidence, correct):
    bin_of = (confidence * 10).long().clamp(max=9)
    error = 0.0
    for number in range(10):
        inside = bin_of == number
        gap = confidence[inside].mean() - correct[inside].float().mean()
        error += gap.abs() * inside.float().mean()
    return error


def with_a_bin_for_1(confidence, correct):
    bin_of = (confidence * 10).long()
    error = 0.0
    for number in bin_of.unique():
        inside = bin_of == number
        gap = confidence[inside].mean() - correct[inside].float().mean()
        error += gap.abs() * inside.float().mean()
    return error


def by_bincount(confidence, correct):
    bin_of = (confidence * 10).long().clamp(max=9)
    gaps = torch.bincount(bin_of, (confidence - correct.float()).double(), minlength=10)
    return gaps.abs().sum() / len(confidence)


def mean_of_bool(confidence, correct):
    return (confidence.mean() - correct.mean()).abs()


def by_lbfgs(logits, labels):
    log_temperature = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], lr=0.1, max_iter=100)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_temperature.exp(), labels)
        loss.backward()
        return loss

    optimizer.step(closure)
    return log_temperature.exp()


def by_hand(logits, labels, rate=0.5, steps=300, descend=1, inverse=False, log=False):
    scale = torch.tensor(0.0, requires_grad=True)
    for _ in range(steps):
        factor = scale.exp() if inverse else (-scale).exp()
        loss = F.cross_entropy(logits * factor, labels)
        (gradient,) = torch.autograd.grad(loss, scale)
        with torch.no_grad():
            scale -= descend * rate * gradient
    return scale.item() if log else scale.exp().item()


def without_a_step(logits, labels):
    temperature = torch.ones((), requires_grad=True)
    F.cross_entropy(logits / temperature, labels).backward()
    return temperature.item()


def in_place(logits, labels):
    temperature = by_hand(logits, labels)
    logits /= temperature
    return temperature


def below_zero(logits, labels):
    return -by_hand(logits, labels)


def by_backward(model, image, target):
    pixels = image.detach().clone().requires_grad_()
    model(pixels.unsqueeze(0))[0, target].backward()
    return pixels.grad


def by_backward_in_place(model, image, target):
    image.requires_grad_()
    model(image.unsqueeze(0))[0, target].backward()
    return image.grad


def of_value(value):
    """Return an answer that takes the gradient of another value than the target's logit."""

    def answer(model, image, target):
        image = image.clone().requires_grad_()
        return torch.autograd.grad(value(model(image[None])[0], target), image)[0]

    return answer


def without_requires_grad(model, image, target):
    model(image[None])[0, target].backward()
    return image.grad


def without_requires_grad_by_autograd(model, image, target):
    return torch.autograd.grad(model(image[None])[0, target], image)[0]


def within_no_grad(model, image, target):
    image = image.clone().requires_grad_()
    with torch.no_grad():
        logit = model(image[None])[0, target]
    return torch.autograd.grad(logit, image)[0]


def stepped(change=lambda images, gradient, e: images + e * gradient.sign(), own=False, clamp=True):
    """Return an attack whose change of the images is given."""

    def answer(model, images, labels, epsilon):
        images = images.clone().requires_grad_()
        logits = model(images)
        loss = F.cross_entropy(logits, logits.argmax(1) if own else labels, reduction="sum")
        loss.backward()
        changed = change(images, images.grad, epsilon)
        return (changed.clamp(0, 1) if clamp else changed).detach()

    return answer


def in_the_images_themselves(model, images, labels, epsilon):
    images.requires_grad_()
    F.cross_entropy(model(images), labels).backward()
    with torch.no_grad():
        images += epsilon * images.grad.sign()
        images.clamp_(0, 1)
    return images.detach()


def with_its_graph(model, images, labels, epsilon):
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(images), labels), images)
    return (images + epsilon * gradient.sign()).clamp(0, 1)


def gap(*arguments):
    raise NotImplementedError


CORRECT = {
    "06-1": (
        worked.confusion_matrix, by_loop, by_scikit_learn, by_accumulation, by_one_hot,
    ),
    "06-2": (
        worked.precision_and_recall,
        lambda m: [m[range(10), range(10)] / m.sum(axis) for axis in (0, 1)],
        lambda m: torch.stack(worked.precision_and_recall(m)),
    ),
    "06-3": (worked.calibration_error, in_bins, by_bincount),
    "06-4": (worked.find_temperature, by_lbfgs, by_hand),
    "06-5": ("cabba", list("CABBA")),
    "06-6": (worked.input_gradient, by_backward),
    "06-7": (worked.fgsm, stepped()),
}  # fmt: skip
WRONG = [
    ("06-1", lambda a, b: by_loop(b, a), "swapped"),
    ("06-1", by_plain_indexing, "only once"),
    ("06-1", without_minlength, "minlength=100"),
    ("06-1", errors_only, "diagonal"),
    ("06-1", lambda a, b: by_loop(a, b) / len(a), "shares of all"),
    ("06-1", lambda a, b: by_loop(a, b) / by_loop(a, b).sum(1, keepdim=True), "shares of each row"),
    ("06-1", lambda a, b: torch.bincount(10 * a + b, minlength=100), r"\[10, 10\]"),
    ("06-1", lambda a, b: by_loop(a[:-1], b[:-1]), r"index \[3, 5\] is 1, yours 0"),
    ("06-1", gap, "not written"),
    ("06-2", lambda m: worked.precision_and_recall(m)[::-1], "swapped"),
    ("06-2", lambda m: worked.precision_and_recall(m)[:1] * 2, "Both are the precision"),
    ("06-2", lambda m: worked.precision_and_recall(m)[1:] * 2, "Both are the recall"),
    ("06-2", lambda m: worked.precision_and_recall(m)[0], "two tensors"),
    ("06-2", lambda m: (m.diagonal() / m.sum(),) * 2, "not by all"),
    ("06-2", lambda m: [100 * one for one in worked.precision_and_recall(m)], "percent"),
    ("06-2", lambda m: [1 - one for one in worked.precision_and_recall(m)], "errors"),
    ("06-2", lambda m: [one.mean() for one in worked.precision_and_recall(m)], "ten numbers"),
    ("06-3", lambda c, right: in_bins(c, right, signed=True), "without its sign"),
    ("06-3", lambda c, right: (c.mean() - right.float().mean()).abs(), "without its sign"),
    ("06-3", lambda c, right: in_bins(c, right, weigh="mean"), "plain mean"),
    ("06-3", lambda c, right: in_bins(c, right, weigh="sum"), "sum of the gaps"),
    ("06-3", lambda c, right: in_bins(c, right, weigh="count"), "number of all images"),
    ("06-3", lambda c, right: in_bins(c, right, middle=True), "middle"),
    ("06-3", lambda c, right: in_bins(c, right, last=False), "last bin: yours leaves it out"),
    ("06-3", lambda c, right: in_bins(c, right, last=False, weigh="kept"), "divides by the others"),
    ("06-3", lambda c, right: 100 * in_bins(c, right), "percentage"),
    ("06-3", with_a_bin_for_1, "for it alone"),
    ("06-3", with_empty_bins, "no mean"),
    ("06-3", mean_of_bool, "float"),
    ("06-3", lambda c, right: torch.tensor(0.42), "largest gap"),
    ("06-4", lambda z, y: by_hand(z, y, log=True), "exp"),
    ("06-4", lambda z, y: by_hand(z, y, inverse=True), "inverse"),
    ("06-4", lambda z, y: by_hand(z, y, steps=5), "more steps"),
    ("06-4", without_a_step, "still 1"),
    ("06-4", in_place, "as they are"),
    ("06-4", below_zero, "above 0"),
    ("06-4", lambda z, y: float("nan"), "NaN"),
    ("06-4", lambda z, y: z, "One number"),
    ("06-5", "aabba", "rows are true"),
    ("06-5", "cabb", "5 letters"),
    ("06-6", of_value(lambda z, target: z.max()), "predicted digit"),
    ("06-6", of_value(lambda z, target: z.sum()), "all ten"),
    ("06-6", of_value(lambda z, target: z.softmax(0)[target]), "before softmax"),
    ("06-6", of_value(lambda z, target: z.log_softmax(0)[target]), "log-probability"),
    ("06-6", of_value(lambda z, target: F.cross_entropy(z, torch.tensor(target))), "loss"),
    ("06-6", lambda m, x, t: by_backward(m, x, t).abs(), "sign"),
    ("06-6", lambda m, x, t: by_backward(m, x, t) * x.detach(), "gradient times pixels"),
    ("06-6", lambda m, x, t: by_backward(m, x, t).sum(), "784"),
    ("06-6", lambda m, x, t: by_backward(m, x, t)[None], "image's shape"),
    ("06-6", by_backward_in_place, "twice as much"),
    ("06-6", without_requires_grad, "requires_grad_"),
    ("06-6", without_requires_grad_by_autograd, "requires_grad_"),
    ("06-6", within_no_grad, "no_grad"),
    ("06-7", stepped(lambda x, g, e: x - e * g.sign()), "downhill"),
    ("06-7", stepped(clamp=False), "clamp"),
    ("06-7", stepped(lambda x, g, e: x + e * g / 6), "sign of the gradient"),
    ("06-7", stepped(lambda x, g, e: e * g.sign(), clamp=False), "add it"),
    ("06-7", stepped(lambda x, g, e: x + g.sign()), "by epsilon"),
    ("06-7", stepped(own=True), "true labels"),
    ("06-7", with_its_graph, "detach"),
    ("06-7", in_the_images_themselves, "copy"),
    ("06-7", lambda m, x, y, e: x[0], "shape"),
]


def test_solutions_agree_with_the_helpers() -> None:
    """The notebook puts both side by side: they must be the same thing."""
    from mnist_helpers import Digits, adversarial, build_model, evaluate, fit_temperature
    from mnist_helpers.evaluation import calibration
    from mnist_helpers.synthetic import synthetic_digits

    digits = synthetic_digits(60)
    torch.manual_seed(0)
    result = evaluate(build_model("tiny"), digits)
    labels, predictions = torch.tensor(result.labels), torch.tensor(result.predictions)
    confusion = worked.confusion_matrix(labels, predictions)
    assert (confusion.numpy() == result.confusion).all()
    precision, recall = worked.precision_and_recall(confusion + torch.eye(10))
    assert precision.shape == recall.shape == (10,)

    confidence, correct = torch.tensor(result.probs.max(1)), torch.tensor(result.correct)
    error = worked.calibration_error(confidence, correct)
    assert float(error) == pytest.approx(calibration(result.probs, result.labels, bins=10).ece)

    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(500, 10, generator=generator)
    drawn = torch.multinomial((logits / 2).softmax(1), 1, generator=generator)[:, 0]
    helpers = fit_temperature(logits.numpy(), drawn.numpy())
    assert worked.find_temperature(logits, drawn) == pytest.approx(helpers, rel=0.02)

    model = build_model("tiny").eval()
    images = digits.images.float() / 255
    attacked = worked.fgsm(model, images, digits.labels, 24 / 255)
    assert torch.allclose(
        (255 * attacked).round().to(torch.uint8).float(),
        adversarial(model, digits, 24).images.float(),
    )
    assert isinstance(digits, Digits)
