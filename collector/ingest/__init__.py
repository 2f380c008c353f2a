"""From valid events to the store: batches, the intake and its quotas, the spool, retention."""
