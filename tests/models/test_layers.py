"""The layers compute what their equations say."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sensei_lite.models.image_layers import ConvDecoder, ConvEncoder, PatchDecoder, PatchEncoder
from sensei_lite.models.layers import MLP, Block, RecurrentCell, linear


def test_weights_start_with_the_stated_deviation():
    layer = linear(400, 300, scale=0.5, key=jax.random.key(0))
    assert float(layer.weight.std()) == pytest.approx(0.5 / 20, rel=0.02)
    assert float(abs(layer.weight).max()) <= 2 * 0.5 / 20 / 0.8796 + 1e-6
    assert (layer.bias == 0).all()
    assert (linear(4, 3, scale=0.0, key=jax.random.key(0)).weight == 0).all()


def test_a_block_is_a_linear_layer_a_norm_and_a_silu():
    block = Block(5, 7, key=jax.random.key(1))
    x = np.linspace(-2, 3, 5, dtype=np.float32)
    y = np.asarray(block.normed.weight, np.float64) @ x
    y = (y - y.mean()) / np.sqrt(y.var() + 1e-3)
    np.testing.assert_allclose(block(jnp.asarray(x)), y / (1 + np.exp(-y)), rtol=1e-5, atol=1e-6)


def test_a_head_without_output_scale_says_zero():
    head = MLP(6, 9, 8, 2, out_scale=0.0, key=jax.random.key(2))
    assert (head(jnp.arange(6.0)) == 0).all()
    assert len(head.blocks) == 2


def test_the_cell_keeps_its_memory_where_the_update_gate_is_shut():
    cell = RecurrentCell(3, 8, key=jax.random.key(3))
    h = jax.random.normal(jax.random.key(4), (8,))
    bias = jnp.concatenate([jnp.zeros(16), jnp.full(8, -50.0)])
    shut = eqx.tree_at(lambda cell: cell.gates.bias, cell, bias)
    np.testing.assert_allclose(shut(jnp.ones(3), h), h, atol=1e-6)
    assert float(abs(cell(jnp.ones(3), h) - h).max()) > 0.05


@pytest.mark.parametrize("kind", ["patch", "conv"])
def test_encoders_and_decoders_fit_each_other(kind):
    shape = (32, 48, 3)
    if kind == "patch":
        encoder = PatchEncoder(8, 5, key=jax.random.key(0))
        decoder = PatchDecoder(10, shape, 8, 5, key=jax.random.key(1))
    else:
        encoder = ConvEncoder(4, key=jax.random.key(0))
        decoder = ConvDecoder(10, shape, 4, key=jax.random.key(1))
    picture = jax.random.normal(jax.random.key(2), shape)
    assert encoder(picture).shape == (encoder.size(shape),)
    assert decoder(jnp.ones(10)).shape == shape
    assert encoder(picture[None, None]).shape == (1, 1, encoder.size(shape))
    loss = decoder.loss(jnp.ones(10), picture)
    assert float(loss) == pytest.approx(float(jnp.square(decoder(jnp.ones(10)) - picture).sum()), rel=1e-5)


def test_a_patch_is_encoded_and_drawn_in_its_own_place():
    encoder = PatchEncoder(8, 5, key=jax.random.key(0))
    picture = jnp.zeros((16, 24, 3))
    changed = picture.at[9, 17, 1].set(1.0)  # row 1, column 2 of 2 x 3 patches: number 5
    difference = (encoder(changed) != encoder(picture)).reshape(6, 5).any(1)
    assert difference.tolist() == [False] * 5 + [True]
    decoder = PatchDecoder(10, (16, 24, 3), 8, 5, key=jax.random.key(1))

    def patch_energy(features):
        return jnp.square(decoder(features)).reshape(2, 8, 3, 8, 3).sum((1, 3, 4))

    weight = decoder.dense.normed.scale.reshape(6, 5).at[:5].set(0.0).reshape(-1)
    decoder = eqx.tree_at(lambda decoder: decoder.dense.normed.scale, decoder, weight)
    energy = np.asarray(patch_energy(jnp.linspace(-1, 1, 10)))
    assert (energy.reshape(-1)[:5] == 0).all()
    assert energy[1, 2] > 0
