/**
 * Text from trained models. A {@link io.sterna.infer.Model} holds the weights, shared by any number of
 * {@link io.sterna.infer.Session}s, each a sequence with its cache; a {@link io.sterna.infer.Generator}
 * continues texts in one:
 *
 * <pre>{@code
 * try (Model model = Model.load(Path.of("runs/notes")); Session session = model.session(SessionOptions.of(model))) {
 *     Generation end = new Generator(session, model.tokenizer())
 *             .generate("Once upon", GenerationOptions.of(100), System.out::print);
 * }
 * }</pre>
 *
 * <p>A {@link io.sterna.infer.SessionGroup} is sequences side by side, for which a pass reads the weights once; a {@link
 * io.sterna.infer.BatchGenerator} continues a text in each. Models come from others and go to them by {@link
 * io.sterna.infer.HuggingFaceImport}, {@link io.sterna.infer.HuggingFaceExport}, {@link io.sterna.infer.GgufImport} and
 * {@link io.sterna.infer.GgufExport}; {@link io.sterna.infer.ModelConverter} writes one in another width.
 */
package io.sterna.infer;
