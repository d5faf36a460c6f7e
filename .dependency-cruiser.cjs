// The layers of src/README.md. scripts/lint-layers.mjs runs these rules, and fails when it saw no module.
const layer = (name, from, to, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { path: to },
});
const machine = '^(node:)?(fs|fs/promises|child_process|net|http|https|dgram|os|tls|dns|readline|worker_threads)$';
module.exports = {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    layer(
      'model-imports-nothing',
      '^src/model/',
      '^src/(?!model/)',
      'Everything else depends on the model, so the model depends on nothing.',
    ),
    layer(
      'planner-is-pure',
      '^src/planner/',
      '^src/(?!(planner|model)/)',
      'The planner knows no backend and no machine.',
    ),
    layer('delta-is-pure', '^src/delta/', '^src/(?!(delta|model)/)'),
    layer(
      'trace-is-pure',
      '^src/trace/',
      '^src/(?!(trace|model)/)',
      'This layer knows only the rules that were read, not what they should be.',
    ),
    layer('compare-is-pure', '^src/compare/', '^src/(?!(compare|trace|planner|model)/)'),
    layer('diff-is-pure', '^src/diff/', '^src/(?!(diff|backends|xtables|trace|planner|model|delta)/)'),
    layer('explain-is-pure', '^src/explain/', '^src/(?!(explain|compare|trace|planner|model)/)'),
    layer('yaml-imports-nothing', '^src/yaml/', '^src/(?!yaml/)'),
    layer('sources-make-model', '^src/sources/', '^src/(?!(sources|yaml|model|host|telemetry)/)'),
    layer(
      'backends-sit-on-the-plan',
      '^src/backends/',
      '^src/(?!(backends|xtables|planner|model|delta|host|telemetry)/)',
    ),
    layer('xtables-knows-no-mode', '^src/xtables/', '^src/(?!(xtables|model|delta|host|telemetry)/)'),
    {
      name: 'backends-do-not-know-each-other',
      severity: 'error',
      from: { path: '^src/backends/([^/]+)/' },
      to: { path: '^src/backends/[^/]+/', pathNot: '^src/backends/$1/' },
    },
    {
      name: 'backends-reach-host-in-drivers',
      severity: 'error',
      comment: 'In a backend, only files named driver or cleanup touch the machine.',
      from: {
        path: '^src/(backends|xtables)/',
        pathNot: '^src/(backends/.+|xtables)/(driver|cleanup)[^/]*\\.ts$',
      },
      to: { path: '^src/host/' },
    },
    layer('host-is-the-bottom', '^src/host/', '^src/(?!(host|model)/)'),
    layer('telemetry-is-the-bottom', '^src/telemetry/', '^src/(?!(telemetry|model)/)'),
    layer('config-reads-through-host', '^src/config/', '^src/(?!(config|yaml|model|planner|host|telemetry)/)'),
    layer('servers-answer', '^src/servers/', '^src/(?!(servers|model|planner|telemetry|host)/)'),
    layer(
      'reconciler-decides-when',
      '^src/reconciler/',
      '^src/(?!(reconciler|backends|planner|model|delta|telemetry|host)/)',
    ),
    layer(
      'machine-opens-what-a-mode-needs',
      '^src/machine/',
      '^src/(?!(machine|config|backends|xtables|planner|model|delta|telemetry|host)/)',
    ),
    layer(
      'modes-are-parts',
      '^src/modes/',
      '^src/(?!(modes|machine|config|compare|diff|trace|backends|xtables|planner|model|delta|telemetry|host)/)',
      'A mode puts existing parts together; the rest of the program knows modes only by their record.',
    ),
    layer(
      'daemon-knows-no-command',
      '^src/daemon/',
      '^src/(?!(daemon|modes|machine|config|reconciler|backends|xtables|servers|sources|yaml|planner|model|delta|telemetry|host)/)',
    ),
    layer(
      'inspect-reads',
      '^src/inspect/',
      '^src/(?!(inspect|modes|machine|config|explain|compare|diff|trace|backends|xtables|sources|planner|model|delta|telemetry|host)/)',
    ),
    {
      name: 'machine-built-ins-in-host-and-servers',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/(host|servers)/' },
      to: { path: machine },
    },
    { name: 'src-knows-no-tests', severity: 'error', from: { path: '^(src|bin)/' }, to: { path: '^(test|scripts)/' } },
    {
      name: 'no-development-packages-in-src',
      severity: 'error',
      from: { path: '^(src|bin)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
