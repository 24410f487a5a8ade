package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cmd/sallyport/config"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of this version's configuration file. An editor with the YAML
language server reads it if the file begins with

  # yaml-language-server: $schema=sallyport.schema.json

It finds less than "sallyport validate", which also reads the files that a configuration names.`,
		Example: `  sallyport schema > sallyport.schema.json`,
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Schema())
			return err
		},
	}
}
