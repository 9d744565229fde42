from .distil import preference_loss as preference_loss
from .hacking import find_reward_hacks as find_reward_hacks
from .model import SemanticReward as SemanticReward
from .model import rewards_of as rewards_of
from .model import scores_of as scores_of
from .split import Split as Split
