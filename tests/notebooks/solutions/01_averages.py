# %% [markdown]
# # Averages
#
# The lesson that the tests build: three small exercises.

# %%
import averages  # noqa: F401 (registers the exercises of this lesson)
import torch

from dgmcourse.exercises import check, exercise

values = torch.arange(12.0).reshape(3, 4)

# %% [markdown]
# ## Exercise 1: the mean · ●○○ · 2 minutes
#
# Sum the values, divide by how many there are.


# %%
@exercise("averages/mean")
def mean(values):
    """The mean of each row: (batch, n) -> (batch,)."""
    ### BEGIN SOLUTION
    total = values.sum(-1)

    return total / values.shape[-1]
    ### END SOLUTION


# %%
check(mean)

# %% [markdown]
# ## Exercise 2: the variance · ●●● · 5 minutes


# %%
@exercise("averages/variance")
def variance(values):
    """The mean squared distance of each row from its mean: (batch, n) -> (batch,)."""
    centered = values - values.mean(-1, keepdim=True)
    ### BEGIN SOLUTION
    return centered.square().mean(-1)
    ### END SOLUTION


# %%
check(variance)

# %% [markdown]
# ## A bug hunt · ●●○ · 3 minutes


# %%
@exercise("averages/largest")
def largest(values):
    """The largest value of each row: (batch, n) -> (batch,)."""
    ### BEGIN SOLUTION
    best = values[:, 0]
    for column in values[:, 1:].unbind(-1):
        best = torch.maximum(best, column)
    ### BEGIN BUG
    # best = values[:, 1]
    # for column in values[:, 2:].unbind(-1):
    #     best = torch.maximum(best, column)
    ### END SOLUTION
    return best


# %% points=4
check(largest)

# %% [markdown]
# ## What you can do now

# %% tags=["summary"]
{"mean": mean(values).tolist(), "variance": variance(values).tolist(), "largest": largest(values).tolist()}
