"""Where the world is touched: the store, the bus, servers, processes, the clock. Read it last."""
