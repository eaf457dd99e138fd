/**
 * The training step: forward, backward with the update inside, and the memory it needs ({@link
 * io.sterna.train.Trainer}); and around it a run ({@link io.sterna.train.TrainingRun}), from a configuration to a
 * folder:
 *
 * <pre>
 * config.yaml         the resolved configuration
 * metrics.jsonl       an object for each logged step: step, tokens, loss, lr, grad_norm, flip_rate, flip_rates by
 *                     kind of layer, flip_rates_by_layer by tensor, dev_loss where evaluated; tokens_per_second,
 *                     rss_bytes, wall_seconds
 * events.out.tfevents the same for TensorBoard, a file for each process of the run
 * checkpoints/        step-00000200.sterna and so on: the last few, from which the run can go on
 * model/              final weights, configuration, tokenizer; the chat template of the model that a run began with
 * report.html         the run on one page
 * summary.json        what came of it; written last, so its presence says that the run is finished
 * .wall-seconds       seconds up to the last checkpoint, to which those of the next process are added
 * .lock               locked while a process trains the run
 * </pre>
 */
package io.sterna.train;
