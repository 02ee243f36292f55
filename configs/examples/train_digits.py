"""Trains a small neural network on scikit-learn's bundled handwritten digits. The environment sets its parameters.

Nothing here knows of carbonq but the two lines with `progress`, which do nothing outside of it: any program is a job.
"""

import os

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

from carbonq.job import progress

EPOCHS = int(os.environ.get("EPOCHS", "20"))
HIDDEN = int(os.environ.get("HIDDEN", "128"))
LEARNING_RATE = float(os.environ.get("LEARNING_RATE", "0.001"))
SEED = 1


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(images, labels, stratify=labels, random_state=SEED)
    scaler = MinMaxScaler().fit(train_x)
    train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)

    model = MLPClassifier((HIDDEN, HIDDEN), batch_size=16, learning_rate_init=LEARNING_RATE, random_state=SEED)
    for epoch in range(1, EPOCHS + 1):
        model.partial_fit(train_x, train_y, classes=range(10))
        progress(epoch, EPOCHS)
        if epoch % 5 == 0 or epoch == EPOCHS:
            print(f"epoch {epoch}/{EPOCHS}: loss {model.loss_:.4f}", flush=True)
    print(f"accuracy on unseen digits: {model.score(test_x, test_y):.4f}")


if __name__ == "__main__":
    main()
