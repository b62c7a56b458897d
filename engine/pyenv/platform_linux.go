package pyenv

const platform = "linux"
