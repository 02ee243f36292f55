"""The queue: its keys, one Lua script a transition, the Redis adapter and the in-memory one."""
