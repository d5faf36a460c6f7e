// swc transforms everything, including node_modules, because execa, p-queue and client-node are ESM only.
const common = {
  testEnvironment: 'node',
  // All projects share the cache of what swc made: a cache belongs to an `id`. It is not in /tmp, because scripts/guest has a /tmp of
  // its own, where each file would be transformed again, slowly.
  id: 'vipwire',
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
  transform: {
    '^.+\\.(ts|m?js)$': ['@swc/jest', { jsc: { target: 'es2022' }, module: { type: 'commonjs' } }],
  },
  transformIgnorePatterns: [],
  // jest uses `require`, and these packages export only to `import`. unicorn-magic is a dependency of execa.
  moduleNameMapper: {
    '^unicorn-magic$': '<rootDir>/node_modules/unicorn-magic/node.js',
    '^@actions/(expressions|workflow-parser)$': '<rootDir>/node_modules/@actions/$1/dist/index.js',
    '^@actions/expressions/(.*)$': '<rootDir>/node_modules/@actions/expressions/dist/$1',
  },
};
/** Builds the bundle. The ipvs project has no such setup: in the guest the bundle is there already. */
const globalSetup = '<rootDir>/test/support/build-bundle.cjs';
/** Folders with tests that make network namespaces, and so need root. */
const kernel = ['test/kernel', 'test/support/lab'];
/** The folder with tests that need a kernel with IPVS. */
const ipvs = 'test/kernel/ipvs';

/**
 * Unit tests run in random order. jest has this setting for all projects or for none, and tests of the other projects go on with what
 * the one before them left on its node.
 */
const isUnitAlone = process.argv.includes('--selectProjects=unit');

module.exports = {
  // jest prints the seed; --seed=N gives the same order again.
  randomize: isUnitAlone,
  // It is long because a machine may be slow; no test depends on its length.
  testTimeout: 60_000,
  // One worker per processor. By default jest keeps one processor for its own process, which has nothing to do.
  maxWorkers: '100%',
  projects: [
    {
      ...common,
      displayName: 'unit',
      globalSetup,
      testMatch: ['<rootDir>/test/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', ...kernel.map((folder) => `<rootDir>/${folder}/`)],
    },
    {
      ...common,
      displayName: 'kernel',
      globalSetup,
      testMatch: kernel.map((folder) => `<rootDir>/${folder}/**/*.test.ts`),
      testPathIgnorePatterns: ['/node_modules/', `<rootDir>/${ipvs}/`],
    },
    { ...common, displayName: 'ipvs', testMatch: [`<rootDir>/${ipvs}/**/*.test.ts`] },
  ],
};
