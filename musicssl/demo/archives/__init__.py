"""Small sets in the layout the archives of the 13 probing tasks are distributed in, flaws and all."""

from musicssl.demo.archives import emomusic, giantsteps, gtzan, magnatagatune, mtg_jamendo, nsynth, vocalset

# Folder below `--data_root` -> what writes it, given the folder, a seed and how many times its smallest size.
ARCHIVES = {
    "magnatagatune": magnatagatune.write,
    "giantsteps": giantsteps.write,
    "gtzan": gtzan.write,
    "emomusic": emomusic.write,
    "nsynth": nsynth.write,
    "vocalset": vocalset.write,
    "mtg_jamendo": mtg_jamendo.write,
}
