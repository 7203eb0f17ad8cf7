"""All networks, layer by layer, against their descriptions; and what they cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mnist_helpers.models import (
    MEAN,
    STD,
    build_model,
    count_parameters,
    fuse_batchnorm,
    list_models,
    shrink_variances,
)
from mnist_helpers.summary import summarize


def conv(inputs: int, outputs: int, kernel: int = 3, pad: int = 0, bias: bool = True) -> tuple:
    return ("Conv2d", inputs, outputs, kernel, pad, bias)


def linear(inputs: int, outputs: int) -> tuple:
    return ("Linear", inputs, outputs)


def norm(channels: int) -> tuple:
    return ("BatchNorm2d", channels)


def drop(rate: float) -> tuple:
    return ("Dropout", rate)


RELU, FLAT, POOL = ("ReLU",), ("Flatten",), ("MaxPool2d", 2)


def block(inputs: int, outputs: int) -> list[tuple]:
    return [conv(inputs, outputs, pad=1), norm(outputs), RELU, POOL, drop(0.25)]


def pooled(inputs: int, outputs: int, kernel: int) -> list[tuple]:
    return [conv(inputs, outputs, kernel, kernel // 2, False), POOL, norm(outputs), RELU]


TWO = [conv(1, 32, pad=1), RELU, POOL, conv(32, 64, pad=1), RELU, POOL]
DESCRIBED: dict[str, list[tuple]] = {
    "cnn2": [*TWO, FLAT, linear(3136, 128), RELU, linear(128, 10)],
    "mnistnet": [
        *block(1, 32),
        *block(32, 64),
        *block(64, 128),
        FLAT,
        *[linear(1152, 256), RELU, drop(0.5)],
        *[linear(256, 128), RELU, drop(0.5)],
        linear(128, 10),
    ],
    "conv3_nopool": [
        *[conv(1, 32), RELU, conv(32, 64), RELU, conv(64, 64), RELU],
        FLAT,
        linear(64 * 22 * 22, 10),
    ],
    "cnn2_dropout": [*TWO, FLAT, linear(3136, 128), RELU, drop(0.5), linear(128, 10)],
    "cnn2_sgd": [*TWO, drop(0.25), FLAT, linear(3136, 128), RELU, drop(0.5), linear(128, 10)],
    "pytorch_example_2017": [
        *[conv(1, 10, 5), POOL, RELU, conv(10, 20, 5), ("Dropout2d", 0.5), POOL, RELU],
        *[FLAT, linear(320, 50), RELU, drop(0.5), linear(50, 10)],
    ],
    "speedrun_2020": [
        *[conv(1, 24, 5), POOL, RELU, conv(24, 32), POOL, RELU],
        *[FLAT, linear(800, 256), RELU, linear(256, 10)],
    ],
    "pytorch_example": [
        *[conv(1, 32), RELU, conv(32, 64), RELU, POOL, drop(0.25)],
        *[FLAT, linear(9216, 128), RELU, drop(0.5), linear(128, 10)],
    ],
}
PARAMETERS = {
    "cnn2": 421_642,
    "mnistnet": 422_474,
    "conv3_nopool": 320 + 18_496 + 36_928 + 309_770,
    "cnn2_dropout": 421_642,
    "cnn2_sgd": 421_642,
    "pytorch_example": 1_199_882,
    "pytorch_example_2017": 21_840,
    "speedrun_2020": 624 + 6_944 + 205_056 + 2_570,
}
NAMES = [*DESCRIBED, "tiny", "fast", "accurate"]


def described(layer: nn.Module) -> tuple:
    """Put what matters of a layer in the words of DESCRIBED."""
    kind = type(layer).__name__
    if isinstance(layer, nn.Conv2d):
        assert layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
        (kernel,), (pad,) = set(layer.kernel_size), set(layer.padding)
        return (kind, layer.in_channels, layer.out_channels, kernel, pad, layer.bias is not None)
    if isinstance(layer, nn.Linear):
        return (kind, layer.in_features, layer.out_features)
    if isinstance(layer, nn.MaxPool2d):
        assert layer.stride == layer.kernel_size and not layer.padding and not layer.ceil_mode
        return (kind, layer.kernel_size)
    if isinstance(layer, nn.BatchNorm2d):
        assert layer.affine and layer.track_running_stats
        return (kind, layer.num_features)
    return (kind, layer.p) if isinstance(layer, (nn.Dropout, nn.Dropout2d)) else (kind,)


def formula(layers: list[tuple]) -> int:
    """Count parameters from a description, by hand."""
    total = 0
    for kind, *sizes in layers:
        if kind == "Conv2d":
            inputs, outputs, kernel, _, bias = sizes
            total += inputs * outputs * kernel**2 + outputs * bias
        elif kind == "Linear":
            total += (sizes[0] + 1) * sizes[1]
        elif kind == "BatchNorm2d":
            total += 2 * sizes[0]
    return total


def some_images(number: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (number, 1, 28, 28), generator=generator, dtype=torch.uint8)


def test_there_are_no_others() -> None:
    assert sorted(list_models()) == sorted(NAMES)
    with pytest.raises(ValueError, match=r"no model 'resnet'.*mnistnet"):
        build_model("resnet")


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_seeds_networks_are_as_described(name: str) -> None:
    normalize, *layers = build_model(name)
    assert type(normalize).__name__ == "Normalize"
    assert [described(layer) for layer in layers] == DESCRIBED[name]
    assert formula(DESCRIBED[name]) == PARAMETERS[name] == count_parameters(build_model(name))


@pytest.mark.parametrize(
    ("name", "width", "depth", "parameters"),
    [
        ("fast", 32, (1, 1, 1), 104_938),
        ("accurate", 32, (1, 2, 2), 289_642),
    ],
)
def test_our_networks_pool_before_batchnorm(
    name: str, width: int, depth: tuple[int, ...], parameters: int
) -> None:
    layers, inputs = [], 1
    for stage, count in enumerate(depth):
        channels = width * 2**stage
        for place in range(count):
            layer = pooled(inputs, channels, 5 if inputs == 1 else 3)
            layers += layer if place == count - 1 else [part for part in layer if part != POOL]
            inputs = channels
    layers += [FLAT, linear(inputs * 9, 10)]
    model = build_model(name)
    assert [described(layer) for layer in model[1:]] == layers
    assert count_parameters(model) == formula(layers) == parameters
    if name == "fast":
        state = sum(value.numel() * value.element_size() for value in model.state_dict().values())
        assert state < 1e6, "the pretrained weights stay below 1 MB"


@pytest.mark.parametrize("name", NAMES)
def test_every_network_takes_uint8_and_float_alike(name: str) -> None:
    model = build_model(name).eval()
    images = some_images()
    with torch.inference_mode():
        logits = model(images)
        assert torch.equal(model(images.float() / 255), logits)
        assert torch.allclose(model(images[2:3]), logits[2:3], atol=1e-5)
    assert logits.shape == (6, 10) and logits.dtype == torch.float32
    assert len(torch.unique(logits)) > 10
    assert model.name == name
    assert (logits.softmax(1) - logits).abs().max() > 0.01, "probabilities instead of logits"


@pytest.mark.parametrize("name", NAMES)
def test_normalization_is_saved_and_is_no_parameter(name: str) -> None:
    model = build_model(name)
    state = model.state_dict()
    assert state["normalize.mean"].item() == pytest.approx(0.1307)
    assert state["normalize.std"].item() == pytest.approx(0.3081)
    assert not any(key.startswith("normalize") for key, _ in model.named_parameters())
    scaled = model.normalize(some_images())
    assert torch.allclose(scaled, (some_images().float() / 255 - MEAN) / STD)


def test_pixels_and_what_numpy_makes_of_them_over_255_are_the_same_to_a_network() -> None:
    model = build_model("tiny").eval()
    as_float64 = torch.from_numpy(some_images().numpy() / 255)
    assert as_float64.dtype == torch.float64
    with torch.inference_mode():
        assert torch.allclose(model(as_float64), model(some_images()), atol=1e-5)
        assert torch.allclose(
            model.double()(as_float64).float(), model.float()(some_images()), atol=1e-5
        )


def test_normalization_is_that_of_mnist(mnist_root) -> None:
    from mnist_helpers.data import load_mnist

    scaled = build_model("fast").normalize(load_mnist("idx", mnist_root, 0).train.images)
    assert scaled.mean().abs() < 1e-3 and (scaled.std() - 1).abs() < 1e-3


def test_weights_are_random_and_follow_the_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first, second = build_model("fast"), build_model("fast")
        torch.manual_seed(1)
        again = build_model("fast")
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, second.conv1.weight)


def test_a_slice_of_a_network_is_its_layers() -> None:
    model = build_model("fast").eval()
    with torch.inference_mode():
        features = model[:-1](some_images())
        assert features.shape == (6, model.fc.in_features)
        assert torch.equal(model[-1](features), model(some_images()))
    assert model[0] is model.normalize and type(model[1:3]) is nn.Sequential


def test_summarize_cnn2_by_hand() -> None:
    table = summarize(build_model("cnn2"))
    assert table[["layer", "type", "output", "parameters", "macs"]].to_numpy().tolist() == [
        ["normalize", "Normalize", "1×28×28", 0, 0],
        ["conv1", "Conv2d", "32×28×28", 320, 28 * 28 * 32 * 9],
        ["relu1", "ReLU", "32×28×28", 0, 0],
        ["pool1", "MaxPool2d", "32×14×14", 0, 0],
        ["conv2", "Conv2d", "64×14×14", 18_496, 14 * 14 * 64 * 9 * 32],
        ["relu2", "ReLU", "64×14×14", 0, 0],
        ["pool2", "MaxPool2d", "64×7×7", 0, 0],
        ["flatten", "Flatten", "3136", 0, 0],
        ["fc1", "Linear", "128", 401_536, 3136 * 128],
        ["relu3", "ReLU", "128", 0, 0],
        ["fc2", "Linear", "10", 1_290, 1280],
        ["total", "", "", 421_642, 225_792 + 3_612_672 + 401_408 + 1_280],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_summarize_leaves_the_network_as_it_was(name: str) -> None:
    model = build_model(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    table = summarize(model)
    assert table["parameters"].iloc[-1] == table["parameters"].iloc[:-1].sum()
    assert table["parameters"].iloc[-1] == count_parameters(model)
    assert len(table) == len(model) + 1
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_summarize_removes_its_hooks_even_after_an_error() -> None:
    model = build_model("tiny")
    model.fc = nn.Linear(5, 10)
    with pytest.raises(RuntimeError):
        summarize(model)
    assert not any(module._forward_hooks for module in model.modules())


def test_tiny_is_small_from_the_first_step_on() -> None:
    table = summarize(build_model("tiny")).set_index("layer")
    sizes = {name: table.loc[name, "output"] for name in ("conv1", "conv2", "pool2", "conv3")}
    assert list(sizes.values()) == ["32×12×12", "32×10×10", "32×5×5", "128×3×3"]
    macs = 12 * 12 * 25 * 32 + 10 * 10 * 9 * 32 * 32 + 3 * 3 * 9 * 32 * 128 + 1152 * 10
    parameters = 25 * 32 + 9 * 32 * 32 + 9 * 32 * 128 + 2 * (32 + 32 + 128) + 1153 * 10
    assert tuple(table.loc["total", ["macs", "parameters"]]) == (macs, parameters)
    others = set(NAMES) - {"tiny", "pytorch_example_2017", "speedrun_2020"}  # these miss 99.3%
    fewest = min(summarize(build_model(name))["macs"].iloc[-1] for name in others)
    assert macs < fewest, "no network that reaches 99.3% computes less"


def test_grouped_convolutions_cost_less() -> None:
    model = nn.Sequential(build_model("cnn2").normalize, nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
    model.extend([nn.Conv2d(8, 8, 3, groups=4), nn.Flatten(), nn.LazyLinear(10)])
    model(torch.zeros(1, 1, 28, 28))
    macs = summarize(model)["macs"].tolist()
    assert macs[1:4] == [26 * 26 * 8 * 9, 24 * 24 * 8 * 9 * 8, 22 * 22 * 8 * 9 * 2]


def test_variances_shrink_towards_their_mean() -> None:
    model = build_model("tiny")
    norm = model.norm2
    norm.running_var.copy_(torch.linspace(0.0, 2.0, len(norm.running_var)))
    before = norm.running_var.clone()
    shrink_variances(model, 0.0)
    assert torch.equal(norm.running_var, before)
    shrink_variances(model, 0.25)
    assert torch.allclose(norm.running_var, 0.75 * before + 0.25)
    assert torch.equal(model.norm1.running_var, torch.ones(32)), "those that are alike stay"


@pytest.mark.parametrize("name", NAMES)
def test_folded_networks_read_the_same(name: str) -> None:
    model = build_model(name)
    model(some_images())  # BatchNorm sees something
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2), nn.init.normal_(layer.bias)
    smaller = fuse_batchnorm(model.eval())
    kinds = {type(layer) for layer in smaller}
    assert not kinds & {nn.BatchNorm2d, nn.Dropout} and len(smaller) <= len(model)
    assert torch.allclose(smaller(some_images()), model(some_images()), atol=1e-4)


def test_channels_that_pooling_would_mix_up_are_not_folded() -> None:
    model = build_model("tiny")
    model(some_images())
    nn.init.constant_(model.eval().norm2.weight, -1)
    smaller = fuse_batchnorm(model)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in smaller) == 1
    assert torch.allclose(smaller(some_images()), model(some_images()), atol=1e-4)
