import numpy
import torch

from spacy_xlt.layers.centres import LanguageCentres

RNG = numpy.random.default_rng(0)
LANGS = ["en", "sw", "en", "sw", "sw"]
VECTORS = RNG.normal(size=(5, 4)).astype("f") + numpy.array([[9.0 * (x == "sw")] for x in LANGS])


def test_the_nearest_mean_is_taken_off():
    centres = LanguageCentres.of_texts(VECTORS.astype("f"), LANGS)
    found = centres.take_off(torch.tensor(VECTORS).float()).numpy()
    for row, lang in enumerate(LANGS):
        own = VECTORS[[other == lang for other in LANGS]]
        wanted = VECTORS[row] - own.mean(axis=0)
        numpy.testing.assert_allclose(found[row], wanted / numpy.linalg.norm(wanted), atol=1e-5)


def test_odd_vectors():
    """Nothing stays nothing, a mean itself has no direction, and no vectors are none."""
    centres = LanguageCentres.of_texts(VECTORS.astype("f"), LANGS)
    assert not centres.take_off(torch.zeros(2, 4)).any()
    assert centres.take_off(centres.means).isfinite().all()
    assert centres.take_off(torch.zeros(0, 4)).shape == (0, 4)
    assert LanguageCentres.of_texts(VECTORS[:1].astype("f"), ["en"]).means.shape == (1, 4)


def test_gradients_pass():
    centres = LanguageCentres.of_texts(VECTORS, LANGS).double()
    vectors = torch.tensor(VECTORS[:3]).double().requires_grad_(True)
    assert torch.autograd.gradcheck(centres.take_off, (vectors,))
