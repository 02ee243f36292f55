"""Gradient boosting on scikit-learn's bundled breast cancer data, judged by repeated cross-validation."""

import os

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from carbonq.job import progress

TREES = int(os.environ.get("TREES", "80"))
DEPTH = int(os.environ.get("DEPTH", "3"))
FOLDS = int(os.environ.get("FOLDS", "5"))
SEED = 3


def main() -> None:
    samples, malignant = load_breast_cancer(return_X_y=True)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    scores: list[float] = []
    for done, (train, test) in enumerate(folds.split(samples, malignant), start=1):
        model = GradientBoostingClassifier(n_estimators=TREES, max_depth=DEPTH, subsample=0.8, random_state=SEED)
        model.fit(samples[train], malignant[train])
        scores.append(float(roc_auc_score(malignant[test], model.predict_proba(samples[test])[:, 1])))
        progress(done, FOLDS)
        print(f"fold {done}/{FOLDS}: area under the curve {scores[-1]:.4f}", flush=True)
    print(f"{TREES} trees of depth {DEPTH}: area under the curve {np.mean(scores):.4f} ± {np.std(scores):.4f}")


if __name__ == "__main__":
    main()
