"""HOW calls go out: made ready, limited, sent under guard, judged, and written down."""
