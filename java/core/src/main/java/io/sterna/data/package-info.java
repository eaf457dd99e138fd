/**
 * From the user's text to batches of tokens, streamed at every stage:
 *
 * <pre>
 * Corpus -&gt; DocumentReader -&gt; BpeTrainer -&gt; BpeTokenizer (or ByteTokenizer)
 *                  \-----------------------------+-&gt; Shards.prepare -&gt; Shards -&gt; TokenStream -&gt; Windows -&gt; Batches
 * </pre>
 *
 * The same bytes come out for any number of threads: work is cut into chunks of documents whose results are
 * taken in order. A batch is a pure function of (seed, step).
 */
package io.sterna.data;
