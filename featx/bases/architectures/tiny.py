"""The bundled base: a small ResNet for 32 x 32 images, pretrained on CIFAR-100."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)
"""Channels of the four layers."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al., 2016, the basic block).

    Parameters
    ----------
    width_in, width_out : int
        Channels before and after.
    stride : int
        Step of the first convolution; 2 halves height and width.
    """

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.relu = nn.ReLU(inplace=True)
        # Where the shape changes, the shortcut needs a convolution of its own (He et al., option B).
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, width_in, h, w) float32 to (n, width_out, h / stride, w / stride) float32."""
        inner = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(inner + self.shortcut(x))


def tiny(num_classes: int = 100) -> nn.Sequential:
    """Build the network: `stem`, `layer1` ... `layer4`, then pooling and a linear classifier.

    Parameters
    ----------
    num_classes : int
        Outputs of the classifier; CIFAR-100 has 100.

    Returns
    -------
    torch.nn.Sequential
        About 1.25 million parameters, randomly initialised; takes (n, 3, 32, 32) float32.
    """
    stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU(inplace=True))
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    width_in = WIDTHS[0]
    for number, width in enumerate(WIDTHS, start=1):
        stages[f"layer{number}"] = ResidualBlock(width_in, width, stride=1 if number == 1 else 2)
        width_in = width
    stages["avgpool"] = nn.AdaptiveAvgPool2d(1)
    stages["flatten"] = nn.Flatten()
    stages["fc"] = nn.Linear(width_in, num_classes)
    return nn.Sequential(stages)
