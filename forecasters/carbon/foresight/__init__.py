"""What is known of each zone's intensity when its readings are archived and a model learns from them."""

from carbonq.forecasters.carbon.foresight.foresight import Foresight

__all__ = ["Foresight"]
