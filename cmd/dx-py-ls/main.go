// Command dx-py-ls is a language server and test engine for Python.
package main

import (
	"os"

	"github.com/dx-py/dx-py-ls/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr)) }
