"""The world model: encoder, RSSM, decoder, and heads for the reward, the semantic reward and the end of an episode.

It sees, remembers and expects; and it says what a state looks like, is worth, and whether the episode goes on. One loss
teaches all parts, a sum of named terms, each a mean over batch and time:

    L = sum of squared pixel errors                       image (unless pictures are not looked at)
      + w sum of squared errors of symlog(numbers)        vector (where a world gives numbers beside its pictures)
      + -ln p(r_t | s_t)                                  reward (two-hot)
      + -ln p(continue_t | s_t)                           continue (the world did not end here)
      + -ln p(r_sem_t | s_t)                              semantic reward (two-hot)
      + beta_dyn max(free, KL(sg(q) || p))                dynamics
      + beta_rep max(free, KL(q || sg(p)))                representation

Source: DreamerV3 (arXiv 2301.04104); the semantic head is SENSEI's (arXiv 2503.01584). Built in notebook 02_rssm.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

from sensei_lite.config import WorldModelConfig
from sensei_lite.models.distributions import TwoHot, balanced_kl, symexp, symlog
from sensei_lite.models.image_layers import ConvDecoder, ConvEncoder, PatchDecoder, PatchEncoder
from sensei_lite.models.layers import MLP, batch_apply
from sensei_lite.models.rssm import RSSM, State
from sensei_lite.types import Image, Seed


class Transition(NamedTuple):
    """Transitions of a replay, aligned on arrival (`worlds.base.TimeStep`); leading axes: worlds, or batch and time."""

    image: UInt8[Array, "*batch height width channel"]
    action: Float[Array, "*batch action"]
    """a_{t-1}, one-hot or continuous."""
    reward: Float[Array, "*batch"]
    semantic: Float[Array, "*batch"]
    """R_psi of the picture; zeros while there is no R_psi."""
    is_first: Bool[Array, "*batch"]
    is_terminal: Bool[Array, "*batch"]
    vector: Float[Array, "*batch vector"] | None = None
    """The world's numbers beside the picture, if it has any."""


class PosteriorRollout(NamedTuple):
    """The states that the world model inferred for a batch of sequences, [batch time ...]."""

    states: State
    posterior: Float[Array, "batch time stoch classes"]
    """The probabilities from which each state's z was sampled."""


def normalize_image(
    image: Image | UInt8[Array, "*batch height width channel"],
) -> Float[Array, "*batch height width channel"]:
    """Normalise a picture's bytes to float32 numbers from -0.5 to 0.5."""
    return image.astype(jnp.float32) / 255.0 - 0.5


class TwoHotHead(eqx.Module):
    """A head that predicts a number as a distribution over fixed bins. It starts out saying exactly 0."""

    mlp: MLP

    def __init__(self, size_in: int, hidden: int, layers: int, bins: int, *, key: Seed):
        self.mlp = MLP(size_in, bins, hidden, layers, out_scale=0.0, key=key)

    def predict(self, features: Float[Array, " features"]) -> TwoHot:
        """Predict the number as a distribution over bins."""
        return TwoHot(self.mlp(features).astype(jnp.float32))

    def __call__(self, features: Float[Array, " features"]) -> Float[Array, ""]:
        """Predict the expected number, in the unit of the targets."""
        return self.predict(features).mean()

    def loss(self, features: Float[Array, " features"], *targets: Float[Array, ""]) -> Float[Array, ""]:
        """Compute the cross-entropy with a target, in nats; with several targets, the sum."""
        return self.predict(features).loss(*targets)


class WorldModel(eqx.Module):
    """Encoder, RSSM, decoder and heads."""

    encoder: PatchEncoder | ConvEncoder | None
    vector_encoder: MLP | None
    vector_decoder: MLP | None
    rssm: RSSM
    decoder: PatchDecoder | ConvDecoder | None
    reward: TwoHotHead
    semantic: TwoHotHead
    continue_head: MLP
    config: WorldModelConfig = eqx.field(static=True)

    def __init__(
        self,
        config: WorldModelConfig,
        image_shape: tuple[int, int, int],
        action_size: int,
        vector_size: int = 0,
        *,
        key: Seed,
    ):
        config.check_image(image_shape)
        self.config = config
        encoder, rssm, decoder, reward, semantic, continue_head = jax.random.split(key, 6)
        size = config.deter + config.stoch * config.classes
        if config.encoder == "none" and not vector_size:
            raise ValueError("world_model.encoder is 'none', and this world gives no numbers beside its pictures")
        self.encoder = self.decoder = None
        if config.encoder == "patch":
            self.encoder = PatchEncoder(config.patch, config.depth, key=encoder)
            self.decoder = PatchDecoder(size, image_shape, config.patch, config.depth, key=decoder)
        elif config.encoder == "conv":
            self.encoder = ConvEncoder(config.depth, key=encoder)
            self.decoder = ConvDecoder(size, image_shape, config.depth, key=decoder)
        embedding_size = 0 if self.encoder is None else self.encoder.size(image_shape)
        self.vector_encoder = self.vector_decoder = None
        if vector_size:
            # A large constant: split(key, n)[i] is fold_in(key, i), and these are taken.
            encoder, decoder = jax.random.split(jax.random.fold_in(key, 0x566563))
            self.vector_encoder = MLP(vector_size, config.hidden, config.hidden, config.layers, key=encoder)
            self.vector_decoder = MLP(size, vector_size, config.hidden, config.layers, key=decoder)
            embedding_size += config.hidden
        self.rssm = RSSM(config, action_size, embedding_size, key=rssm)
        self.reward = TwoHotHead(size, config.hidden, config.layers, config.bins, key=reward)
        self.semantic = TwoHotHead(size, config.hidden, config.layers, config.bins, key=semantic)
        self.continue_head = MLP(size, None, config.hidden, config.layers, key=continue_head)

    def continues(self, features: Float[Array, " features"]) -> Float[Array, ""]:
        """Predict the continue probability: that the world did not end in this state."""
        return jax.nn.sigmoid(self.continue_head(features).astype(jnp.float32))

    def embed(
        self,
        image: UInt8[Array, "*batch height width channel"],
        vector: Float[Array, "*batch vector"] | None,
    ) -> Float[Array, "*batch embedding"]:
        """Encode observations for the posterior: the picture's embedding, and behind it that of the world's numbers.

        Raises ValueError where numbers are missing or not expected.
        """
        if (vector is None) != (self.vector_encoder is None):
            expected = "expects no numbers" if self.vector_encoder is None else "expects numbers"
            raise ValueError(f"this world model {expected} beside the picture")
        parts = [] if self.encoder is None else [self.encoder(normalize_image(image))]
        if vector is not None and self.vector_encoder is not None:
            parts.append(batch_apply(self.vector_encoder, symlog(vector)))
        return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=-1)

    def decode_image(self, features: Float[Array, "*batch features"]) -> Float[Array, "*batch height width channel"]:
        """Decode features to pictures with values around 0 (see `normalize_image`).

        Raises ValueError where the world model has no picture decoder.
        """
        if self.decoder is None:
            raise ValueError("this world model (world_model.encoder 'none') draws no pictures; it tells numbers")
        return self.decoder(features)

    def decode_vector(self, features: Float[Array, "*batch features"]) -> Float[Array, "*batch vector"]:
        """Decode features to the world's numbers, in their own unit. Raises ValueError where the world gives none."""
        if self.vector_decoder is None:
            raise ValueError("this world model tells no numbers: its world gave none beside its pictures")
        return symexp(batch_apply(self.vector_decoder, features).astype(jnp.float32))

    def observe(
        self, batch: Transition, *, key: Seed
    ) -> tuple[State, Float[Array, "batch time stoch classes"], Float[Array, "batch time stoch classes"]]:
        """Infer states, posteriors and priors of a batch of sequences. Here, and only here, ``vmap`` adds the batch."""
        embeddings = self.embed(batch.image, batch.vector)
        # Call-out W1 (implementations): memory before a sequence is not known, so it starts afresh, as if the first row
        # began an episode. So do version 1 and SENSEI; today's danijar/dreamerv3 stores memory with each row.
        is_first = batch.is_first.at[:, 0].set(True)
        start = self.rssm.initial()
        keys = jax.random.split(key, len(batch.reward))
        return jax.vmap(lambda a, e, f, k: self.rssm.observe(start, a, e, f, key=k))(
            batch.action, embeddings, is_first, keys
        )

    def open_loop(self, batch: Transition, watch: int, *, key: Seed) -> State:
        """Predict open loop: observe the first ``watch`` steps, then imagine with the actions taken, [batch time ...].

        Pictures decoded from these states, beside the batch's own, show what the model has understood. Raises
        ValueError unless ``watch`` is at least 1 and leaves steps to imagine.
        """
        sequences, time = batch.reward.shape
        if not 1 <= watch < time:
            raise ValueError(f"watch is {watch}; of sequences of {time} rows it can be 1 to {time - 1}")
        observe_key, imagine_key = jax.random.split(key)
        observed, _, _ = self.observe(jax.tree.map(lambda leaf: leaf[:, :watch], batch), key=observe_key)

        def step(state: State, inputs: tuple[Array, Array]) -> tuple[State, State]:
            action, step_key = inputs
            keys = jax.random.split(step_key, sequences)
            state = jax.vmap(lambda s, a, k: self.rssm.imagine_step(s, a, key=k))(state, action, keys)
            return state, state

        last = jax.tree.map(lambda leaf: leaf[:, -1], observed)
        actions = jnp.swapaxes(batch.action[:, watch:], 0, 1)
        _, imagined = jax.lax.scan(step, last, (actions, jax.random.split(imagine_key, time - watch)))
        return jax.tree.map(lambda a, b: jnp.concatenate([a, jnp.swapaxes(b, 0, 1)], axis=1), observed, imagined)

    def loss(
        self, batch: Transition, *, key: Seed
    ) -> tuple[Float[Array, ""], tuple[dict[str, Array], PosteriorRollout]]:
        """Compute the loss of a batch of sequences; return it, its terms by name, and the posterior rollout.

        Terms are means over batch and time, not weighted: nats, or for ``image`` and ``vector`` squared errors.
        """
        states, posterior, prior = self.observe(batch, key=key)
        features = states.features
        kl = balanced_kl(posterior, prior, self.config.free_bits)
        logits = jax.vmap(jax.vmap(self.continue_head))(features).astype(jnp.float32)
        continued = 1.0 - batch.is_terminal
        terms = {} if self.decoder is None else {"image": self.decoder.loss(features, normalize_image(batch.image))}
        terms |= {
            "reward": jax.vmap(jax.vmap(self.reward.loss))(features, batch.reward),
            "continue": jax.nn.softplus(logits) - continued * logits,
            # Call-out W2 (ours): what is interesting shapes the state, as the task's reward does. SENSEI's settings for
            # MiniHack and Robodesk let neither of the two heads do so (`grad_heads: [decoder, cont]`).
            "semantic": jax.vmap(jax.vmap(self.semantic.loss))(features, batch.semantic),
            "dynamics": kl.dynamics,
            "representation": kl.representation,
        }
        if batch.vector is not None and self.vector_decoder is not None:
            predicted = batch_apply(self.vector_decoder, features)
            terms["vector"] = jnp.square(predicted - symlog(batch.vector)).sum(-1)
        settings = self.config
        # Call-out W3 (ours): the weight of the numbers is a setting. At the usual 1 an error of the size that decides
        # between a touch and none costs less than the KL gives away for free, and z leaves it out.
        weights = {
            "vector": settings.vector_scale,
            "dynamics": settings.dynamics_scale,
            "representation": settings.representation_scale,
        }
        means = {name: term.mean() for name, term in terms.items()}
        total = sum((weights.get(name, 1.0) * mean for name, mean in means.items()), jnp.zeros(()))
        return total, ({**means, "kl": kl.raw.mean()}, PosteriorRollout(states, jnp.exp(posterior)))
