"""An interactive course on deep generative models: the real implementations behind the lessons."""
