/**
 * To be imported before everything else: at SIGUSR1 Node.js would open its debugger on 127.0.0.1:9229, through which every user of
 * this machine may run what they like in this process.
 *
 * A signal that came before this line, while Node.js was starting, may have opened it, or may still do so when the event loop
 * runs: it is closed again. Where it was asked for on the command line it stays.
 */
import { close, url } from 'node:inspector';

const signals = ['SIGUSR1', 'SIGUSR2'] as const;
/** After the start; by then the event loop has run. */
const looksAfterMs = [0, 1, 10, 100, 1000];

const isWanted = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((text) => text.includes('--inspect'));

function closeDebugger(): void {
  if (url() !== undefined && !isWanted) close();
}

// A signal with a listener does nothing else.
for (const signal of signals) process.on(signal, () => undefined);
closeDebugger();
setImmediate(closeDebugger).unref();
for (const ms of looksAfterMs) setTimeout(closeDebugger, ms).unref();
