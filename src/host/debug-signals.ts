/**
 * Must be imported before everything else. At SIGUSR1 Node.js opens its debugger on 127.0.0.1:9229, through which every user of
 * this machine can run any code in this process.
 *
 * A signal that came earlier, while Node.js was starting, may have opened the debugger already, or may open it when the event loop
 * runs, so it is closed again. A debugger that was asked for on the command line stays open.
 */
import { close, url } from 'node:inspector';

const signals = ['SIGUSR1', 'SIGUSR2'] as const;
/** Milliseconds after the start; by then the event loop has run. */
const looksAfterMs = [0, 1, 10, 100, 1000];

const isWanted = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((text) => text.includes('--inspect'));

function closeDebugger(): void {
  if (url() !== undefined && !isWanted) close();
}

// With a listener, the signal does nothing else.
for (const signal of signals) process.on(signal, () => undefined);
closeDebugger();
setImmediate(closeDebugger).unref();
for (const ms of looksAfterMs) setTimeout(closeDebugger, ms).unref();
