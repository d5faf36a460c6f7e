// First: what it does must be done before any other module is loaded.
import '../src/host/debug-signals';
import { main } from '../src/cli/main';

void main(process.argv.slice(2));
