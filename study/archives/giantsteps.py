"""A small GiantSteps: two annotation repositories, keys with trailing blanks, sharps and doubts, mp3 excerpts."""

from pathlib import Path

from musicssl.keys import KEYS
from study.archives.audio import make_piece, write_audio, write_lines

TRAINING_SONGS, TEST_SONGS = 26, 10
SECONDS = 30.5  # one whole window of the task; the originals last two minutes
SHARPS = {"Db": "C#", "Eb": "D#", "Gb": "F#", "Ab": "G#", "Bb": "A#"}


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write both repositories and audio/; the fourth song has no audio, like songs of the original."""
    mtg, test = root / "giantsteps-mtg-key-dataset", root / "giantsteps-key-dataset"
    annotations, metadata = ["ID\tMANUAL KEY\tC"], ["ID\tARTIST\tTITLE"]
    for index in range((TRAINING_SONGS + TEST_SONGS) * size):
        # Few keys, so that a small training set has several songs of each.
        key = KEYS[(5 * index) % 24] if index % 2 else KEYS[12 + (3 * index) % 12]
        song_id = str(100_000 + 37 * index)
        if index >= TRAINING_SONGS * size:
            write_lines(test / "annotations" / "key" / f"{song_id}.LOFI.key", [key])
        else:
            tonic, mode = key.split()
            annotations.append(f"{song_id}\t{SHARPS.get(tonic, tonic)} {mode} \t2")
            partner = f", Guest {index}" if index % 9 == 0 else ""
            metadata.append(f"{song_id}\tArtist {index // 2}{partner}\tTrack {index}")
        if index != 3:
            style = ("disco", "pop", "hiphop")[index % 3]
            _, waveform = make_piece(seed, "giantsteps", index, SECONDS, style=style, key=key)
            write_audio(root / "audio" / f"{song_id}.LOFI.mp3", waveform, 22_050)
    # The training set leaves these out: a doubtful key, and a song in two keys.
    annotations += ["900001\tF minor\t1", "900002\tC major / A minor\t2"]
    metadata += ["900001\tArtist 1\tDoubtful", "900002\tArtist 2\tTwo keys"]
    write_lines(mtg / "annotations" / "annotations.txt", annotations)
    write_lines(mtg / "annotations" / "beatport_metadata.txt", metadata)
