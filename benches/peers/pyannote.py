"""Runs a pyannote.audio pipeline on one recording, for `cargo xtask bench --peer`.

usage: python pyannote.py CONFIG.YAML AUDIO THREADS
"""

import os
import sys

config, audio, threads = sys.argv[1:]
os.environ["OMP_NUM_THREADS"] = threads

import pyannote.audio
import torch

torch.set_num_threads(int(threads))
print(f"version: pyannote.audio {pyannote.audio.__version__}, torch {torch.__version__}")
audio = os.path.abspath(audio)
os.chdir(os.path.dirname(os.path.abspath(config)))  # paths in a configuration are relative to it
pipeline = pyannote.audio.Pipeline.from_pretrained(os.path.basename(config))
pipeline(audio).write_rttm(sys.stdout)
