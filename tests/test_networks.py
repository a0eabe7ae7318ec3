"""What every network keeps to: raw images in, logits of the same size out, at any batch size, and it learns."""

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

import networks
import storage
from networks import cpu_convolution, deeplabv3_plus, layers, objectives


@pytest.fixture(autouse=True)
def float32():
    keras.utils.set_random_seed(1)
    yield
    keras.mixed_precision.set_global_policy("float32")


def build(architecture="unet", encoder_weights=None):
    return networks.build(architecture, 64, 4, 4, (-200, 200), encoder_weights)


@pytest.fixture(scope="module")
def images():
    """Two images with a bright square each, float32 HU (2, 64, 64, 1), and the squares' masks."""
    masks = np.zeros((2, 64, 64, 1), np.uint8)
    masks[0, 10:30, 10:40] = masks[1, 30:60, 20:40] = 1
    noise = np.random.default_rng(0).normal(0, 20, masks.shape)
    return (np.where(masks, 60, -90) + noise).astype(np.float32), masks


@pytest.mark.parametrize("architecture", networks.ARCHITECTURES)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_have_the_images_size_and_are_float32(architecture, policy, images):
    keras.mixed_precision.set_global_policy(policy)
    network = build(architecture)
    logits = network(images[0])
    assert (logits.shape, logits.dtype) == ((2, 64, 64, 1), tf.float32)
    assert np.isfinite(logits).all()
    masks = networks.predict_masks(network, images[0])
    assert (masks.shape, masks.dtype) == ((2, 64, 64), np.uint8)
    np.testing.assert_array_equal(masks, tf.sigmoid(logits)[..., 0] >= 0.5)


def test_an_image_is_seen_the_same_in_any_batch_and_in_training_as_in_use(images):
    network = build()
    alone = network(images[0][:1], training=False)
    np.testing.assert_allclose(network(images[0], training=True)[:1], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_unet_learns_at_any_batch_size(images, batch_size):
    network = build()
    network.compile(keras.optimizers.Adam(1e-2), objectives.binary_crossentropy_dice, [objectives.Dice()])
    network.fit(*images, batch_size=batch_size, epochs=40, verbose=0)
    # As when predicting.
    assert network.evaluate(*images, verbose=0, return_dict=True)["dice"] > 0.9


@pytest.mark.parametrize("share, probability", [(0.0, 0.119), (0.01, 0.119), (0.4, 0.4), (1.0, 0.881)])
def test_a_training_begins_with_the_masks_share(share, probability):
    network = build()
    networks.set_prior(network, share)
    # Where the features are 0, the bias speaks alone.
    last = network.get_layer("pixel_logits")
    np.testing.assert_allclose(tf.sigmoid(last(tf.zeros((1, 1, 1, last.input_shape[-1])))), probability, atol=1e-3)


def test_a_unet_has_the_stated_number_of_parameters_be_its_first_stage_wide_or_on_patches():
    sizes = [networks.build("unet", 64, *widths, None).count_params() / 1e6 for widths in ((32, 4), (32, 2), (16, 1))]
    assert [round(size, 1) for size in sizes] == [0.5, 1.9, 1.9]


@pytest.mark.parametrize(
    "arguments, told", [(("vnet", 64), "found 'vnet'"), (("unet", 100), "multiple of 32, found 100")]
)
def test_a_wrong_name_or_size_is_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        networks.build(*arguments, filters=4, stem_patch_px=4, clip_hu=None)


def test_a_window_is_clipped_and_stretched():
    scaled = layers.ScaleIntensity((-200, 200))(tf.constant([[-1000.0, -200.0, 0.0, 100.0, 3000.0]])[..., None, None])
    np.testing.assert_allclose(np.ravel(scaled), [-1, -1, 0, 0.5, 1])


def test_without_a_window_each_image_is_standardised_and_a_constant_one_is_0():
    noise = np.random.default_rng(0).uniform(0, 1, (16, 16, 1))
    # Thousandths too: a map of diffusion, in mm2 per s.
    images = np.stack([60000 * noise, 0.003 * noise, 1000 + noise, np.full((16, 16, 1), 1000.1), 0 * noise]).astype(
        np.float32
    )
    scaled = layers.ScaleIntensity(None)(images).numpy()
    for image in scaled[:3]:
        assert image.mean() == pytest.approx(0, abs=1e-3)
        assert image.std() == pytest.approx(1, abs=1e-3)
    assert abs(scaled[3]).max() < 0.1
    assert (scaled[4] == 0).all()


def test_hounsfield_units_are_scaled_in_float32_under_mixed_precision():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    scaled = layers.ScaleIntensity((-200, 200))(tf.constant([[[[101.0]]]]))
    assert scaled.numpy().item() == pytest.approx(0.505, abs=1e-6)  # bfloat16 would give 0.5039


def test_the_encoder_sees_what_keras_preprocessing_gives():
    # Grey -1..1 as colours of 0..255, through the function that ImageNet's weights were trained with.
    grey = np.linspace(-1, 1, 32 * 32, dtype=np.float32).reshape(1, 32, 32, 1)
    colours = np.repeat((grey + 1) * 127.5, 3, axis=-1)
    np.testing.assert_allclose(
        deeplabv3_plus.ImageNetColours()(grey), keras.applications.resnet50.preprocess_input(colours.copy()), atol=1e-4
    )


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """A file of ResNet50's weights, as Keras would download it, but random."""
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.h5"
    keras.applications.ResNet50(include_top=False, weights=None).save_weights(path)
    return path


def test_the_encoder_starts_from_a_file_and_keeps_a_sixteenth_of_the_size(weights_file):
    network = build("deeplabv3_plus", str(weights_file))
    encoder = network.get_layer("resnet50")
    reference = keras.applications.ResNet50(include_top=False, weights=str(weights_file))
    for own, wanted in zip(encoder.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(own, wanted)
    assert [output.shape[1:] for output in encoder.outputs] == [(16, 16, 256), (4, 4, 2048)]


def test_the_dilated_encoder_computes_what_resnet50_does_where_both_look(weights_file):
    # Before its last stage the encoder is ResNet50 itself.
    network = build("deeplabv3_plus", str(weights_file)).get_layer("resnet50")
    reference = keras.applications.ResNet50(include_top=False, weights=str(weights_file), input_shape=(64, 64, 3))
    image = np.random.default_rng(0).normal(0, 50, (1, 64, 64, 3)).astype(np.float32)
    ends = [
        keras.Model(model.input, model.get_layer("conv4_block6_out").output)(image) for model in (network, reference)
    ]
    np.testing.assert_allclose(*ends, rtol=1e-4, atol=1e-4)
    # At its end it is so at every other pixel, where the dilated kernels look at what the strided ones do.
    ends = [network(image)[-1].numpy()[:, ::2, ::2], reference(image).numpy()]
    np.testing.assert_allclose(*ends, rtol=1e-3, atol=1e-3 * np.abs(ends[1]).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_pooled_branch_is_the_same_everywhere_and_so_is_its_gradient(policy):
    keras.mixed_precision.set_global_policy(policy)
    inputs = keras.Input((32, 32, 8))
    branch = keras.Model(inputs, deeplabv3_plus._pooled_branch(inputs))
    features = tf.constant(np.random.default_rng(0).uniform(0, 1, (1, 32, 32, 8)).astype(np.float32))
    _, bias = branch.trainable_weights
    with tf.GradientTape() as tape:
        pooled = branch(features)
        loss = tf.reduce_mean(pooled)
    assert pooled.shape == (1, 32, 32, 256)
    assert np.ptp(pooled.numpy(), axis=(1, 2)).max() == 0
    # Each of the 1,024 pixels has its share in it: summed up in 16 bit, they would come to a quarter.
    active = pooled[0, 0, 0].numpy() > 0
    np.testing.assert_allclose(tape.gradient(loss, bias), active / 256, rtol=0.02)


def test_imagenet_weights_are_asked_of_keras_and_a_failed_download_says_what_to_set(monkeypatch):
    asked = []

    def no_network(**keywords):
        asked.append(keywords)
        raise Exception("URL fetch failure")  # Keras' own type for it

    monkeypatch.setattr(keras.applications, "ResNet50", no_network)
    with pytest.raises(storage.UserError, match="URL fetch failure.*Set ENCODER_WEIGHTS in config.py"):
        build("deeplabv3_plus", "imagenet")
    assert asked == [{"include_top": False, "weights": "imagenet"}]


@pytest.mark.parametrize("content", [None, b"not HDF5"])
def test_a_missing_or_broken_weights_file_says_what_to_set(tmp_path, content):
    path = tmp_path / "weights.h5"
    if content:
        path.write_bytes(content)
    with pytest.raises(storage.UserError, match="Set ENCODER_WEIGHTS in config.py"):
        build("deeplabv3_plus", str(path))


def test_encoder_weights_that_refer_to_other_files_are_not_read(tmp_path, weights_file):
    with h5py.File(weights_file, "r") as opened, h5py.File(tmp_path / "weights.h5", "w") as harmful:
        for name in opened:
            opened.copy(name, harmful)
        harmful.attrs.update(opened.attrs)
        layer = next(name for name in opened if "conv" in name)
        del harmful[layer]
        harmful[layer] = h5py.ExternalLink(str(weights_file), layer)
    with pytest.raises(storage.UserError, match="is a link.*Set ENCODER_WEIGHTS in config.py"):
        build("deeplabv3_plus", str(tmp_path / "weights.h5"))


@pytest.mark.parametrize("channels, groups", [(12, 4), (3, 1), (2, 2)])
def test_group_normalization_is_keras_own(channels, groups):
    own, keras_own = layers.GroupNormalization(groups), keras.layers.GroupNormalization(groups)
    random = np.random.default_rng(groups)
    inputs = tf.constant(random.normal(1, 2, (2, 6, 5, channels)).astype(np.float32))
    found = []
    for layer in (own, keras_own):
        layer.build(inputs.shape)
        layer.set_weights([np.linspace(0.5, 2, channels), np.linspace(-1, 1, channels)])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**3)
        found.append([outputs, *tape.gradient(loss, [inputs, *layer.trainable_weights])])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-3, atol=1e-4 * np.abs(there).max())


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_what_is_the_same_everywhere_is_normalized_to_0(value):
    assert np.abs(layers.GroupNormalization(2)(tf.fill((1, 4, 4, 4), value))).max() < 0.1


@pytest.mark.parametrize("channels, filters", [(3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("size", [3, 5])
def test_a_weight_gradient_by_products_is_tensorflows(channels, filters, size):
    random = np.random.default_rng(size)
    inputs, kernel = (
        tf.constant(random.normal(size=shape)) for shape in ((3, 9, 7, channels), (size, size, channels, filters))
    )
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        outputs = tf.nn.conv2d(inputs, kernel, 1, "SAME")
        loss = tf.reduce_sum(outputs**3)
    np.testing.assert_allclose(
        cpu_convolution.weight_gradient(inputs, 3 * outputs**2, size), tape.gradient(loss, kernel), rtol=1e-9
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_unets_gradients_are_the_same_on_any_processor(policy, images, monkeypatch):
    keras.mixed_precision.set_global_policy(policy)
    network = build()
    found = {}
    for known in ("avx avx2", "avx avx2 avx512f"):
        monkeypatch.setattr(cpu_convolution.cpu_features, "instructions", lambda known=known: frozenset(known.split()))

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(objectives.binary_crossentropy_dice(images[1], network(images[0], training=True)))
            return tape.gradient(loss, network.trainable_variables)

        weighted = [
            node.type
            for node in gradients.get_concrete_function().graph.get_operations()
            if node.type == "Conv2DBackpropFilter"
        ]
        found[known] = (len(weighted), [np.ravel(gradient) for gradient in gradients()])
    (products, few), (tensorflows, all_of_them) = found.values()
    # Those of the two steps up, by 2 x 2, and of the logits, 1 x 1, are not products.
    assert (products, tensorflows) == (3, 13)
    tolerance = 1e-4 if policy == "float32" else 0.1
    assert np.linalg.norm(np.concatenate(few) - np.concatenate(all_of_them)) < tolerance * np.linalg.norm(
        np.concatenate(all_of_them)
    )
