"""Processes that do a part of the work, and end with the process that started them, however that ends.

`workers.py` is the side of the one that starts them: `Workers` sends calls to processes and collects what comes back;
`direct.py` is one process, and the thread that calls it waits for each reply itself.
`worker.py` is what such a process runs; `parent.py` ends it when its parent is gone. `signals.py`
finds a signal again whose exception was swallowed. `machine.py` says how much memory there is to share, `posix.py` has
what Windows lacks.
`background.py` is no process, but a thread for one call.

On a cluster, processes are Ray's: `cluster.py` connects to it, and is the only module that knows Ray; `node_check.py`
asks nodes what they see, `cluster_calls.py` calls functions there, and `log_collector.py` brings their log home.

A worker is Python started anew, and three pipes: calls arrive on its stdin, replies leave by what was its stdout, and
stderr is its parent's. The pipe of calls is also the lifeline: it closes when the parent dies, whatever it dies of. So
there are no locks, semaphores, temporary files or helper processes that somebody would have to clean up, a worker never
holds the parent's stdout, and a script needs no `if __name__ == "__main__"`.

Proved by `tests/processes`, and through the command line by `tests/cli/test_interruption.py`.
"""
