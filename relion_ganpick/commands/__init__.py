"""The subcommands of ``ganpick``: each module adds its arguments and runs; heavy imports wait until then."""
