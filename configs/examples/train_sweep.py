"""Cross-validates one support vector machine on the bundled digits: one point of a sweep over C and GAMMA."""

import os

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from carbonq.job import progress

C = float(os.environ.get("C", "1"))
GAMMA = float(os.environ.get("GAMMA", "0.001"))
FOLDS = int(os.environ.get("FOLDS", "15"))
SEED = 2


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    scores: list[float] = []
    for done, (train, test) in enumerate(folds.split(images, labels), start=1):
        model = SVC(C=C, gamma=GAMMA).fit(images[train], labels[train])
        scores.append(model.score(images[test], labels[test]))
        progress(done, FOLDS)
        if done % 5 == 0 or done == FOLDS:
            print(f"fold {done}/{FOLDS}: mean accuracy {np.mean(scores):.4f}", flush=True)
    print(f"C={C:g} gamma={GAMMA:g}: accuracy {np.mean(scores):.4f} ± {np.std(scores):.4f}")


if __name__ == "__main__":
    main()
