// Everything goes through swc, node_modules too: execa, p-queue and client-node are ESM only.
const common = {
  testEnvironment: 'node',
  transform: {
    '^.+\\.(ts|m?js)$': ['@swc/jest', { jsc: { target: 'es2022' }, module: { type: 'commonjs' } }],
  },
  transformIgnorePatterns: [],
  // unicorn-magic is execa's. They are exported to `import` alone, where jest requires.
  moduleNameMapper: {
    '^unicorn-magic$': '<rootDir>/node_modules/unicorn-magic/node.js',
    '^@actions/(expressions|workflow-parser)$': '<rootDir>/node_modules/@actions/$1/dist/index.js',
    '^@actions/expressions/(.*)$': '<rootDir>/node_modules/@actions/expressions/dist/$1',
  },
};
/** In the guest the bundle is there already. */
const globalSetup = '<rootDir>/test/support/build-bundle.cjs';
/** Those that make network namespaces, and so need root. */
const kernel = ['test/kernel', 'test/support/lab'];
/** Those that need a kernel with IPVS. */
const ipvs = 'test/kernel/ipvs';

/** Of all projects or of none: tests of the others go on with what the one before them left on its node. */
const isUnitAlone = process.argv.includes('--selectProjects=unit');

module.exports = {
  // jest prints the seed; --seed=N gives the same order again.
  randomize: isUnitAlone,
  // No test measures by it: a machine may be slow.
  testTimeout: 60_000,
  // One per processor: jest itself leaves one of them to its own process, which has nothing to do.
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
    // In scripts/guest, whose /tmp is gone after it.
    {
      ...common,
      displayName: 'ipvs',
      testMatch: [`<rootDir>/${ipvs}/**/*.test.ts`],
      cacheDirectory: '<rootDir>/node_modules/.cache/jest',
    },
  ],
};
