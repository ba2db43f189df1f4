"""The editor of a flow: its page, the panel of a trigger or step, mapping, and trying it."""
