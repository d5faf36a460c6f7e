/** jest's globalSetup: dist/ is of the present sources. */
const { execFileSync } = require('node:child_process');

module.exports = () => {
  execFileSync('scripts/build-if-changed', { stdio: ['ignore', 'ignore', 'inherit'] });
};
