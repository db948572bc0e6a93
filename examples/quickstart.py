"""Exact answers about the bundled network, in five lines; runs offline in seconds."""

import bnnverify as bv
from bnnverify.data.bundled import bundled_images, bundled_network

net, digits = bundled_network(), bundled_images()
ball = bv.HammingBall(digits.values[3], radius=3)

print(bv.robustness(net, ball))
print(bv.count(net, ball).counts)
print(bv.radius(net, digits.values[3], norm="hamming"))
