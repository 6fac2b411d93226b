package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/clewhq/clew/internal/server"
)

// config prints the settings as serve would see them, secrets masked.
func config(e *env, args []string) error {
	_, list, err := server.LoadConfig("config", args, e.lookup, e.errs)
	if list == nil {
		return err
	}
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, s := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Value, s.Source)
	}
	if flushErr := w.Flush(); flushErr != nil {
		return flushErr
	}
	return err
}
