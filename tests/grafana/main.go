// Reads dashboards with Grafana's own schema library, strictly: a field that Grafana does not know, one of the wrong
// type and one that is missing are faults. Panels are read by their kind, with its options and its field settings.
//
// Called with the files to read; prints what is wrong with each, and ends with 1 when anything is.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	wrong := false
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			wrong = true
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
		}
	}
	if wrong {
		os.Exit(1)
	}
}

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	read := dashboard.NewDashboard()
	// Without a fault it returns an empty list of them, which is not nil.
	if err := read.UnmarshalJSONStrict(text); err != nil && err.Error() != "" {
		return err
	}
	return read.Validate()
}
