"""Word errors of random transcripts by meeteval.

    pip install 'meeteval==0.4.3'
    python make_words.py

writes words.json beside this file.
"""

import json
import random
from pathlib import Path

from meeteval.wer import cp_word_error_rate, siso_word_error_rate

random.seed(26)


def words(speakers):
    return [[random.choice("abcdef") for _ in range(random.randint(0, 12))] for _ in range(speakers)]


def changed(transcript):
    """A transcript with mistakes, and its speakers in another order."""
    result = [[random.choice("abcdef") if random.random() < 0.2 else word for word in speaker if random.random() < 0.8]
              for speaker in transcript]
    random.shuffle(result)
    return result


cases = []
for index in range(60):
    reference = words(random.randint(1, 5))
    found = changed(reference) + words(random.randint(0, 2)) if index % 2 else words(random.randint(1, 6))
    found = found[random.randint(0, 1):]
    join = lambda transcript: {str(speaker): " ".join(said) for speaker, said in enumerate(transcript)}
    flat = lambda transcript: " ".join(word for said in transcript for word in said)
    plain = siso_word_error_rate(flat(reference), flat(found))
    speakers = cp_word_error_rate(join(reference), join(found))
    cases.append({"reference": reference, "found": found, "words": speakers.length, "errors": plain.errors,
                  "errors_with_speakers": speakers.errors})
text = ",\n".join(json.dumps(case) for case in cases)
(Path(__file__).parent / "words.json").write_text(f"[\n{text}\n]\n")
