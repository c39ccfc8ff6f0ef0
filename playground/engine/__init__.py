"""RUN a training: build, data, precision, train, checkpoint, worker process, session, supervisor, store."""
