"""CloudOps Orchestration Service (OOS, API 2019-06-01): templates, and the engine that runs them.

Pure parts: ``expressions`` and ``functions`` (``{{ }}`` and ``Fn::``), ``selecting`` (jq),
``parameters``, ``templates``, ``waiting``, ``requests``, ``loops``. On top of them ``actions``,
what each task does, and ``engine``, which takes executions from state to state in the simulator's
time.

Source: the service's developer reference and user guide; the fields of answers are those of the
public SDK ``alibabacloud-oos20190601``.
"""
