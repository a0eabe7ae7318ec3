"""Every network maps raw images to logits of the same size, at any batch size, and learns."""

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


def test_logits_depend_neither_on_the_batch_nor_on_the_training_mode(images):
    network = build()
    alone = network(images[0][:1], training=False)
    np.testing.assert_allclose(network(images[0], training=True)[:1], alone, atol=1e-4 * np.abs(alone).max())


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_unet_learns_at_any_batch_size(images, batch_size):
    network = build()
    network.compile(keras.optimizers.Adam(1e-2), objectives.binary_crossentropy_dice, [objectives.Dice()])
    network.fit(*images, batch_size=batch_size, epochs=40, verbose=0)
    # In inference mode.
    assert network.evaluate(*images, verbose=0, return_dict=True)["dice"] > 0.9


@pytest.mark.parametrize("share, probability", [(0.0, 0.119), (0.01, 0.119), (0.4, 0.4), (1.0, 0.881)])
def test_the_initial_probability_is_the_foreground_fraction_of_the_masks(share, probability):
    network = build()
    networks.set_prior(network, share)
    # With features of 0 the logit is the bias.
    last = network.get_layer("pixel_logits")
    np.testing.assert_allclose(tf.sigmoid(last(tf.zeros((1, 1, 1, last.input_shape[-1])))), probability, atol=1e-3)


def test_a_unet_has_the_stated_number_of_parameters_for_each_stem():
    sizes = [networks.build("unet", 64, *widths, None).count_params() / 1e6 for widths in ((32, 4), (32, 2), (16, 1))]
    assert [round(size, 1) for size in sizes] == [0.5, 1.9, 1.9]


@pytest.mark.parametrize(
    "arguments, message", [(("vnet", 64), "found 'vnet'"), (("unet", 100), "multiple of 32, found 100")]
)
def test_a_wrong_name_or_size_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        networks.build(*arguments, filters=4, stem_patch_px=4, clip_hu=None)


def test_a_window_is_clipped_and_scaled():
    scaled = layers.ScaleIntensity((-200, 200))(tf.constant([[-1000.0, -200.0, 0.0, 100.0, 3000.0]])[..., None, None])
    np.testing.assert_allclose(np.ravel(scaled), [-1, -1, 0, 0.5, 1])


def test_without_a_window_each_image_is_standardised_and_a_constant_one_is_0():
    noise = np.random.default_rng(0).uniform(0, 1, (16, 16, 1))
    # Also thousandths, such as diffusion coefficients in mm²/s.
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


def test_the_input_of_the_encoder_equals_the_preprocessing_of_keras():
    # Grey values of -1..1 as colours of 0..255, preprocessed as for the ImageNet weights.
    grey = np.linspace(-1, 1, 32 * 32, dtype=np.float32).reshape(1, 32, 32, 1)
    colours = np.repeat((grey + 1) * 127.5, 3, axis=-1)
    np.testing.assert_allclose(
        deeplabv3_plus.ImageNetColours()(grey), keras.applications.resnet50.preprocess_input(colours.copy()), atol=1e-4
    )


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """A file of random ResNet50 weights in the format that Keras downloads."""
    path = tmp_path_factory.mktemp("weights") / "resnet50_notop.h5"
    keras.applications.ResNet50(include_top=False, weights=None).save_weights(path)
    return path


def test_the_encoder_loads_a_weights_file_and_has_an_output_stride_of_16(weights_file):
    network = build("deeplabv3_plus", str(weights_file))
    encoder = network.get_layer("resnet50")
    reference = keras.applications.ResNet50(include_top=False, weights=str(weights_file))
    for loaded, expected in zip(encoder.get_weights(), reference.get_weights(), strict=True):
        np.testing.assert_array_equal(loaded, expected)
    assert [output.shape[1:] for output in encoder.outputs] == [(16, 16, 256), (4, 4, 2048)]


def test_the_dilated_encoder_equals_resnet50_at_common_pixels(weights_file):
    # Up to its last stage the encoder equals ResNet50.
    network = build("deeplabv3_plus", str(weights_file)).get_layer("resnet50")
    reference = keras.applications.ResNet50(include_top=False, weights=str(weights_file), input_shape=(64, 64, 3))
    image = np.random.default_rng(0).normal(0, 50, (1, 64, 64, 3)).astype(np.float32)
    ends = [
        keras.Model(model.input, model.get_layer("conv4_block6_out").output)(image) for model in (network, reference)
    ]
    np.testing.assert_allclose(*ends, rtol=1e-4, atol=1e-4)
    # After it they agree at every other pixel, where dilated and strided kernels see the same pixels.
    ends = [network(image)[-1].numpy()[:, ::2, ::2], reference(image).numpy()]
    np.testing.assert_allclose(*ends, rtol=1e-3, atol=1e-3 * np.abs(ends[1]).max())


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_pooled_branch_and_its_gradient_are_constant_over_the_image(policy):
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
    # The gradient is a sum over 1,024 pixels. In 16 bit the sum would be a quarter of this.
    active = pooled[0, 0, 0].numpy() > 0
    np.testing.assert_allclose(tape.gradient(loss, bias), active / 256, rtol=0.02)


def test_imagenet_weights_come_from_keras_and_a_failed_download_names_the_setting(monkeypatch):
    calls = []

    def no_network(**keywords):
        calls.append(keywords)
        raise Exception("URL fetch failure")  # Keras' own type for it

    monkeypatch.setattr(keras.applications, "ResNet50", no_network)
    with pytest.raises(storage.UserError, match="URL fetch failure.*Set ENCODER_WEIGHTS in config.py"):
        build("deeplabv3_plus", "imagenet")
    assert calls == [{"include_top": False, "weights": "imagenet"}]


@pytest.mark.parametrize("content", [None, b"not HDF5"])
def test_a_missing_or_broken_weights_file_is_reported_with_the_setting(tmp_path, content):
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
def test_group_normalization_equals_that_of_keras(channels, groups):
    ours, theirs = layers.GroupNormalization(groups), keras.layers.GroupNormalization(groups)
    random = np.random.default_rng(groups)
    inputs = tf.constant(random.normal(1, 2, (2, 6, 5, channels)).astype(np.float32))
    results = []
    for layer in (ours, theirs):
        layer.build(inputs.shape)
        layer.set_weights([np.linspace(0.5, 2, channels), np.linspace(-1, 1, channels)])
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**3)
        results.append([outputs, *tape.gradient(loss, [inputs, *layer.trainable_weights])])
    for result, expected in zip(*results, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_constant_features_are_normalized_to_0(value):
    assert np.abs(layers.GroupNormalization(2)(tf.fill((1, 4, 4, 4), value))).max() < 0.1


@pytest.mark.parametrize("channels, filters", [(3, 5), (5, 3), (4, 4)])
@pytest.mark.parametrize("size", [3, 5])
def test_a_weight_gradient_by_matrix_products_equals_that_of_tensorflow(channels, filters, size):
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
def test_the_gradients_of_a_unet_are_the_same_on_any_processor(policy, images, monkeypatch):
    keras.mixed_precision.set_global_policy(policy)
    network = build()
    results = []
    for flags in ("avx avx2", "avx avx2 avx512f"):
        monkeypatch.setattr(cpu_convolution.cpu_features, "instructions", lambda flags=flags: frozenset(flags.split()))

        @tf.function
        def gradients():
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(objectives.binary_crossentropy_dice(images[1], network(images[0], training=True)))
            return tape.gradient(loss, network.trainable_variables)

        filter_gradients = [
            node.type
            for node in gradients.get_concrete_function().graph.get_operations()
            if node.type == "Conv2DBackpropFilter"
        ]
        results.append((len(filter_gradients), np.concatenate([np.ravel(gradient) for gradient in gradients()])))
    (count_with_products, with_products), (count_without, without) = results
    # The gradients of the two 2 x 2 upsampling kernels and of the 1 x 1 logits kernel are never products.
    assert (count_with_products, count_without) == (3, 13)
    tolerance = 1e-4 if policy == "float32" else 0.1
    assert np.linalg.norm(with_products - without) < tolerance * np.linalg.norm(without)
