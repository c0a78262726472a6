"""Makes assignment_ties.safetensors: what SciPy does where many assignments are equally good.

Scores of small integers, one input after the other: shapes (input, 2), scores (all values of all
inputs, row by row), columns (all rows of all inputs): the column of each row, 255 for none.

usage: make_assignment_ties.py   (needs numpy, scipy, safetensors)
"""

import pathlib

import numpy as np
import scipy
from safetensors.numpy import save_file
from scipy.optimize import linear_sum_assignment


def main():
    random = np.random.default_rng(21)
    shapes, scores, columns = [], [], []
    for _ in range(1500):
        rows, cols = random.integers(1, 8, 2)
        x = random.integers(0, random.integers(1, 6), (rows, cols)).astype(np.uint8)
        assigned = np.full(rows, 255, np.uint8)
        chosen, to = linear_sum_assignment(x.astype(np.float64), maximize=True)
        assigned[chosen] = to
        shapes.append((rows, cols))
        scores.append(x.ravel())
        columns.append(assigned)
    save_file(
        {
            "shapes": np.array(shapes, np.uint8),
            "scores": np.concatenate(scores),
            "columns": np.concatenate(columns),
        },
        pathlib.Path(__file__).with_name("assignment_ties.safetensors"),
        metadata={"scipy": scipy.__version__},
    )


main()
