"""The machinery behind the exercises: each file beside `dgmcourse/exercises/engine/` is the exercises of one family."""
